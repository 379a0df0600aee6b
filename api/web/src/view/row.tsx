import { Settings2 } from "lucide-preact";

import { canRedo, isOpen, type Row, tick, ticked, wishOf } from "../state/rows";
import { shownTarget } from "../state/settings";
import { text } from "../text";
import { bytes } from "../text/format";
import { RowActions } from "./row-actions";
import { openSettings } from "./settings-dialog";
import { Standing } from "./standing";
import { Thumbnail } from "./thumbnail";

export function RowView({ row }: { row: Row }) {
  return (
    <div class="row" data-phase={row.phase} data-name={row.name}>
      <input
        type="checkbox"
        aria-label={text.value.tick(row.name)}
        checked={ticked.value.has(row.key)}
        onChange={({ currentTarget }) => tick([row.key], currentTarget.checked)}
      />
      <Thumbnail row={row} />
      <div class="about">
        <span class="name" title={row.name}>
          {row.name}
        </span>
        <About row={row} />
      </div>
      <Standing row={row} />
      <RowActions row={row} />
    </div>
  );
}

function About({ row }: { row: Row }) {
  return (
    <span class="meta">
      <span>{bytes("file" in row ? (row.file.size ?? 0) : row.job.source.bytes)}</span>
      <Sizes row={row} />
      <Wish row={row} />
    </span>
  );
}

function Sizes({ row }: { row: Row }) {
  if (!("job" in row) || row.job.plan === null) return null;
  const { source_size, target_size } = row.job.plan;
  return <span>{`${source_size.join("×")} → ${target_size.join("×")}`}</span>;
}

/** What was asked for, in few words; a button where it can be changed. */
function Wish({ row }: { row: Row }) {
  const { target, codec, format, denoise, sharpen } = wishOf(row);
  const { denoise: removesNoise, sharpen: sharpens, settings, of } = text.value;
  const parts = [
    shownTarget(target),
    format?.toUpperCase(),
    codec?.toUpperCase(),
    denoise !== undefined && denoise !== "off" && removesNoise,
    sharpen && sharpens,
  ];
  const said = parts.filter(Boolean).join(" · ");
  if (!isOpen(row) && !canRedo(row)) return <span>{said}</span>;
  return (
    <button
      type="button"
      class="chip"
      aria-label={`${said}, ${of(settings, row.name)}`}
      onClick={() => openSettings([row])}
    >
      {said}
      <Settings2 size={12} />
    </button>
  );
}
