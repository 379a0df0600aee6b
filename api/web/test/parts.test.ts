import { expect, test } from "vitest";

import type { Progress } from "../src/net/types";
import { equallyLong, lookahead, partAt, share, waitFor } from "../src/state/parts";

/** Ten parts of six seconds, and 25 frames a second. */
const begins = equallyLong(10, 60);

const progress = (finished: Progress["finished"], pace: number | null, inWork = 0): Progress => {
  const batches = finished.reduce((sum, [from, to]) => sum + to - from, 0);
  const done = batches * 150 + inWork;
  return {
    done,
    total: 1500,
    batches_done: batches,
    batches: 10,
    finished,
    frames_per_second: pace,
    seconds_left: null,
    place_in_line: null,
  };
};

test.each([
  [-1, 0],
  [0, 0],
  [5.99, 0],
  [6, 1],
  [59.9, 9],
  [70, 9],
])("at %d seconds part %d is shown", (moment, part) => {
  expect(partAt(begins, moment)).toBe(part);
});

test("a share is that of what is asked about", () => {
  expect(share([[1, 3]], 2, 6)).toBe(0.25);
  expect(share([], 3, 4)).toBe(0);
});

test.each([
  ["what is not finished is asked for as far as it is needed soon", [], 7, 11],
  ["what is finished is held for half a minute", [[0, 9]], 7, 30],
  ["and no further than it goes", [[0, 4]], 7, 17],
  ["up to the end", [], 55, 5],
] as const)("%s", (_, finished, moment, seconds) => {
  expect(lookahead(finished, begins, moment)).toBeCloseTo(seconds, 9);
});

test.each([
  // All of it takes 100 s, of which the last part must be there when it begins, after 54 s.
  ["a fleet at 15 frames a second", progress([], 15), 0, 46],
  ["half of the first part is there", progress([], 15, 75), 0, 41],
  ["at twice real time only the first part is waited for", progress([], 50), 0, 3],
  ["what is before the playhead is made first", progress([], 50), 30, 18],
  ["what is missing is behind the playhead", progress([[5, 10]], 15), 31, 0],
  ["all of it is there", progress([[0, 10]], null), 0, 0],
  ["nothing is known of a rate", progress([[0, 5]], null), 0, undefined],
])("%s", (_, progress, moment, seconds) => {
  const wait = waitFor(progress, begins, moment);
  if (seconds === undefined) expect(wait).toBeUndefined();
  else expect(wait).toBeCloseTo(seconds, 9);
});

/** Whether playing never comes to a part before it is finished: what the wait says, by making and playing each part. */
function plays({ finished, done, frames_per_second: pace }: Progress, moment: number, wait: number): boolean {
  let made = Math.min(finished.reduce((sum, [from, to]) => sum + (to - from) * 150, 0) - done, 0);
  return Array.from({ length: 10 }, (_, part) => part).every((part) => {
    if (finished.some(([from, to]) => from <= part && part < to)) return true;
    made += 150;
    const isThereAt = made / (pace ?? 0);
    const isNeededAt = wait + Math.max(part * 6 - moment, 0);
    return (part + 1) * 6 <= moment || isThereAt <= isNeededAt + 1e-9;
  });
}

test("after the wait it plays through, and a little earlier it does not", () => {
  for (const pace of [3, 10, 24, 25, 26, 100]) {
    for (const finished of [
      [],
      [[0, 3]],
      [
        [2, 4],
        [7, 9],
      ],
    ] as Progress["finished"][]) {
      for (const moment of [0, 5, 17, 40, 59]) {
        const said = progress(finished, pace, 40);
        const wait = waitFor(said, begins, moment) ?? Number.NaN;
        expect(plays(said, moment, wait)).toBe(true);
        if (wait > 0.1) expect(plays(said, moment, wait - 0.1)).toBe(false);
      }
    }
  }
});
