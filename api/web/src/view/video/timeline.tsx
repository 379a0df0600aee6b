import { useSignal } from "@preact/signals";

import { text } from "../../text";
import { clock } from "../../text/format";
import type { Film } from "./film";

/** A video's time, with what of it is finished. It moves when the thumb is let go: the fleet moves with it. */
export function Timeline({ film: { job, begins, moment, end, seek } }: { film: Film }) {
  const held = useSignal<number | undefined>(undefined);
  const place = (part: number) => (100 * (begins[part] ?? end)) / end;
  const shown = held.value ?? moment;
  return (
    <div class="track">
      {job.progress.finished.map(([from, to]) => (
        <i
          key={from}
          data-run={`${from}-${to}`}
          style={{ left: `${place(from)}%`, width: `${place(to) - place(from)}%` }}
        />
      ))}
      <input
        type="range"
        class="moment"
        aria-label={text.value.moment}
        aria-valuetext={clock(shown)}
        min={0}
        max={end}
        step="any"
        value={shown}
        onInput={({ currentTarget }) => {
          held.value = currentTarget.valueAsNumber;
        }}
        onChange={({ currentTarget }) => {
          held.value = undefined;
          seek(currentTarget.valueAsNumber);
        }}
      />
    </div>
  );
}

/** Where a video is, and how long it is. */
export function Clock({ film: { moment, end } }: { film: Film }) {
  return <span class="clock">{`${clock(moment)} / ${clock(end)}`}</span>;
}
