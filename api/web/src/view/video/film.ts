import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

import type { Job } from "../../net/types";
import { type Begins, equallyLong, isFinished, lookahead, partAt } from "../../state/parts";
import { type Playback, usePlayback } from "./playback";
import { Stream } from "./stream";

/** What a player is busy with: `making` where it waits for a part that is not finished. */
export type Doing = "playing" | "paused" | "ended" | "loading" | "making";

/** A job's result in a video element, as far as it is made. */
export interface Film {
  job: Job;
  /** Where it comes from; nothing where the element has the finished result. */
  stream: Stream | undefined;
  now: Playback | undefined;
  begins: Begins;
  /** Where the playhead is, and where the video ends, in seconds. */
  moment: number;
  end: number;
  /** What the playhead comes to next. */
  part: number;
  doing: Doing;
  seek(moment: number): void;
}

/** The end of what is loaded belongs to the part before: the next one is so far behind it, in seconds. */
const NEXT = 0.02;

/** Shows a job's stream in a video element, or follows one that has the finished result. */
export function useFilm(video: RefObject<HTMLVideoElement>, job: Job, address: string | undefined): Film {
  const stream = useStream(video, address);
  const now = usePlayback(video);
  const { batches, finished } = job.progress;
  const begins = stream?.begins.value ?? equallyLong(batches, job.plan?.seconds ?? 0);
  const [moment, end] = [now?.moment ?? 0, begins.at(-1) ?? 0];
  const part = partAt(begins, (now?.reach ?? 0) + NEXT);
  useEffect(() => stream?.lookAhead(lookahead(finished, begins, moment)));
  const seek = (moment: number) => {
    if (video.current !== null) video.current.currentTime = Math.min(Math.max(moment, 0), end);
  };
  return { job, stream, now, begins, moment, end, part, doing: doingOf(now, isFinished(finished, part)), seek };
}

function doingOf(now: Playback | undefined, isThere: boolean): Doing {
  if (now?.hasEnded) return "ended";
  if (now === undefined || now.isShort) return isThere ? "loading" : "making";
  return now.isPaused ? "paused" : "playing";
}

/** The stream in a video element, as long as both are there. */
function useStream(video: RefObject<HTMLVideoElement>, address: string | undefined): Stream | undefined {
  const stream = useSignal<Stream | undefined>(undefined);
  useEffect(() => {
    if (video.current === null || address === undefined) return;
    const made = new Stream(video.current, address);
    stream.value = made;
    return () => {
      stream.value = undefined;
      made.end();
    };
  }, [video, address]);
  return stream.value;
}
