import type { Denoise, Settings } from "../net/types";
import { capabilities } from "../state/capabilities";
import { text } from "../text";
import { number } from "../text/format";
import { Segments } from "./segments";

export interface FieldProps {
  settings: Settings;
  change(changed: Partial<Settings>): void;
}

interface SelectProps {
  label: string;
  value: string | null | undefined;
  options: readonly string[];
  choose(value: string | null): void;
}

function Select({ label, value, options, choose }: SelectProps) {
  return (
    <label class="field">
      {label}
      <select value={value ?? ""} onChange={({ currentTarget }) => choose(currentTarget.value || null)}>
        <option value="">{text.value.likeSource}</option>
        {options.map((option) => (
          <option key={option} value={option}>
            {option.toUpperCase()}
          </option>
        ))}
      </select>
    </label>
  );
}

/** File format, and the codec of a video where the format leaves a choice. */
export function FormatFields({ settings: { format, codec }, change }: FieldProps) {
  const { formats, codecs } = capabilities.value;
  const chosen = formats.find(({ name }) => name === format);
  const held = chosen?.codecs ?? codecs;
  return (
    <div class="pair">
      <Select
        label={text.value.format}
        value={format}
        options={formats.map(({ name }) => name)}
        choose={(format) => change({ format, codec: null })}
      />
      {held.length > 0 && (
        <Select
          label={text.value.codec}
          value={codec}
          options={held}
          choose={(codec) => change(codec === "ffv1" ? { codec, crf: null } : { codec })}
        />
      )}
    </div>
  );
}

/** Qualities of videos and of JPEGs that look alike, by their names. */
const QUALITIES = { best: [14, 97], good: [20, 90], small: [28, 75] } as const;

export function QualityField({ settings: { crf, codec }, change }: FieldProps) {
  // It is lossless.
  if (codec === "ffv1") return null;
  const { quality, qualityAuto, qualityHigh, qualityMiddle, qualityLow } = text.value;
  const chosen = Object.entries(QUALITIES).find(([, [of]]) => of === crf)?.[0] ?? "auto";
  return (
    <Segments
      legend={quality}
      name="quality"
      value={chosen}
      options={[
        ["auto", qualityAuto],
        ["best", qualityHigh],
        ["good", qualityMiddle],
        ["small", qualityLow],
      ]}
      choose={(name) => {
        const [crf, quality] = QUALITIES[name as keyof typeof QUALITIES] ?? [null, null];
        change({ crf, quality });
      }}
    />
  );
}

export function DenoiseField({ settings: { denoise }, change }: FieldProps) {
  const said = text.value;
  return (
    <Segments
      legend={said.denoise}
      name="denoise"
      value={denoise ?? "off"}
      options={[
        ["off", said.denoiseOff],
        ["light", said.denoiseLight],
        ["strong", said.denoiseStrong],
      ]}
      choose={(denoise) => change({ denoise: denoise as Denoise })}
    />
  );
}

export function SharpenField({ settings: { sharpen = 0 }, change }: FieldProps) {
  return (
    <label class="field">
      <span>
        {text.value.sharpen} <output>{sharpen === 0 ? text.value.denoiseOff : number(sharpen, 1)}</output>
      </span>
      <input
        type="range"
        min={0}
        max={1}
        step={0.1}
        value={sharpen}
        onInput={({ currentTarget }) => change({ sharpen: currentTarget.valueAsNumber })}
      />
    </label>
  );
}
