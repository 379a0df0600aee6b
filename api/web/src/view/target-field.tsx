import { text } from "../text";
import { Segments } from "./segments";
import type { FieldProps } from "./settings-fields";

const FACTORS = ["2", "3", "4"];
/** What an exact size begins with. */
const USUAL = [1920, 1080] as const;

/** A factor, or width and height in pixels. */
export function TargetField({ settings: { target }, change }: FieldProps) {
  const exact = target.includes("x");
  const [width = USUAL[0], height = USUAL[1]] = exact ? target.split("x").map(Number) : [];
  const factors = FACTORS.includes(target) || exact ? FACTORS : [target, ...FACTORS];
  return (
    <>
      <Segments
        legend={text.value.size}
        name="target"
        value={exact ? "exact" : target}
        options={[...factors.map((factor) => [factor, `×${factor}`] as const), ["exact", text.value.exact]]}
        choose={(chosen) => change({ target: chosen === "exact" ? USUAL.join("x") : chosen })}
      />
      {exact && (
        <div class="field pair">
          <Pixels label={text.value.width} value={width} set={(width) => change({ target: `${width}x${height}` })} />
          <span aria-hidden="true">×</span>
          <Pixels label={text.value.height} value={height} set={(height) => change({ target: `${width}x${height}` })} />
        </div>
      )}
    </>
  );
}

function Pixels({ label, value, set }: { label: string; value: number; set(value: number): void }) {
  return (
    <input
      type="number"
      aria-label={label}
      min={1}
      max={65535}
      required
      value={value}
      onInput={({ currentTarget }) => set(currentTarget.valueAsNumber || 0)}
    />
  );
}
