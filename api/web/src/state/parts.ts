/** The parts of a video: its batches, which of them are finished, and when they are shown. */

import type { Progress } from "../net/types";

/** Parts from the first to before the last. */
export type Run = readonly [from: number, to: number];

/** When each part begins, in seconds, and at last when the video ends. */
export type Begins = readonly number[];

/** Of parts that are equally long, as far as is known. */
export function equallyLong(parts: number, seconds: number): Begins {
  return Array.from({ length: parts + 1 }, (_, part) => (part / parts) * seconds);
}

/** The part that is shown at a moment; before the first it is the first, and after the last the last. */
export function partAt(begins: Begins, moment: number): number {
  let [low, high] = [0, Math.max(begins.length - 2, 0)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((begins[middle] ?? 0) <= moment) low = middle;
    else high = middle - 1;
  }
  return low;
}

const holds = (part: number) => (run: Run) => run[0] <= part && part < run[1];

export const isFinished = (finished: readonly Run[], part: number) => finished.some(holds(part));

/** The share of some parts that is finished, from 0 to 1. */
export function share(finished: readonly Run[], from: number, to: number): number {
  const lengths = finished.map((run) => Math.max(Math.min(run[1], to) - Math.max(run[0], from), 0));
  return lengths.reduce((sum, length) => sum + length, 0) / (to - from);
}

/** Parts from the playhead's on that a player asks for before they are finished. Those after them the fleet chooses. */
const ASKED = 2;
/** What a player holds of finished parts, in seconds. */
const HELD = 30;

/**
 * How far ahead of the playhead a player loads, in seconds: whatever it asks for the fleet makes next, so of what is not
 * finished yet it asks for no more than it needs soon.
 */
export function lookahead(finished: readonly Run[], begins: Begins, moment: number): number {
  const part = partAt(begins, moment);
  const asked = Math.min(part + ASKED, begins.length - 1);
  const end = finished.find(holds(part))?.[1] ?? part;
  const until = (part: number) => (begins[part] ?? moment) - moment;
  return Math.max(until(asked), Math.min(until(end), HELD));
}

/** The parts that are not finished, in order. */
function unfinished(finished: readonly Run[], parts: number): number[] {
  const found: number[] = [];
  let next = 0;
  for (const [from, to] of [...finished, [parts, parts]] as const) {
    for (; next < from; next++) found.push(next);
    next = to;
  }
  return found;
}

/**
 * How long to wait until the video plays from a moment to its end without a pause, in seconds; 0 where it does so now,
 * nothing where that cannot be told.
 *
 * The fleet is taken to go on as fast as it was, and to make parts in their order, those before the moment too.
 */
export function waitFor(progress: Progress, begins: Begins, moment: number): number | undefined {
  const { finished, total, done, frames_per_second: pace } = progress;
  const parts = begins.length - 1;
  const begin = (part: number) => begins[part] ?? 0;
  const frames = (part: number) => ((begin(part + 1) - begin(part)) / begin(parts)) * total;
  const open = unfinished(finished, parts);
  if (open.every((part) => begin(part + 1) <= moment)) return 0;
  if (pace === null) return undefined;
  const inFinished = total - open.reduce((sum, part) => sum + frames(part), 0);
  // Frames that are missing up to the end of a part; some of what is not finished is there.
  let missing = Math.min(inFinished - done, 0);
  let longest = 0;
  for (const part of open) {
    missing += frames(part);
    if (begin(part + 1) > moment) longest = Math.max(longest, missing / pace - Math.max(begin(part) - moment, 0));
  }
  return longest;
}
