import type { Job } from "../net/types";
import { type Run, share } from "../state/parts";
import { text } from "../text";

/** Cells of a strip at most: where there are more batches, a cell stands for several. */
const MOST = 48;

/** How much of each cell is filled, from 0 to 1. */
export function fills(finished: readonly Run[], batches: number): number[] {
  const cells = Math.min(batches, MOST);
  const begin = (cell: number) => (cell * batches) / cells;
  return Array.from({ length: cells }, (_, cell) => share(finished, begin(cell), begin(cell + 1)));
}

/** A job's batches as cells; a bar where there is but one. */
export function Strip({ job: { name, progress } }: { job: Job }) {
  const { done, total, batches_done, batches, finished } = progress;
  const said = text.value;
  if (batches < 2) {
    return <progress aria-label={said.of(said.running, name)} value={total > 0 ? done / total : 0} />;
  }
  return (
    <div class="strip" role="img" aria-label={said.batches(batches_done, batches)}>
      {fills(finished, batches).map((fill, cell) => (
        <i key={cell} style={{ opacity: 0.18 + 0.82 * fill }} />
      ))}
    </div>
  );
}
