import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

/** How a video element is. */
export interface Playback {
  /** Where it is, in seconds. */
  moment: number;
  /** Up to where it could play from there, in seconds. */
  reach: number;
  isPaused: boolean;
  hasEnded: boolean;
  /** Whether it lacks what comes next. */
  isShort: boolean;
  /** From 0 to 1. */
  volume: number;
  isMuted: boolean;
}

/** Ends of what is loaded are met so closely, in seconds: less than a frame. */
const NEAR = 0.01;

function playbackOf(video: HTMLVideoElement): Playback {
  const { buffered, currentTime: moment } = video;
  const ranges = Array.from({ length: buffered.length }, (_, at) => [buffered.start(at), buffered.end(at)] as const);
  const loaded = ranges.find(([from, to]) => from - NEAR <= moment && moment <= to + NEAR);
  return {
    moment,
    reach: loaded?.[1] ?? moment,
    isPaused: video.paused,
    hasEnded: video.ended,
    isShort: !video.ended && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA,
    volume: video.volume,
    isMuted: video.muted,
  };
}

/** What an element says when one of these changes. */
const EVENTS =
  "loadeddata canplay play playing pause waiting seeking seeked timeupdate progress volumechange ended emptied";

/** How a video element is now. */
export function usePlayback(video: RefObject<HTMLVideoElement>): Playback | undefined {
  const now = useSignal<Playback | undefined>(undefined);
  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    const look = () => {
      now.value = playbackOf(element);
    };
    look();
    const events = EVENTS.split(" ");
    for (const event of events) element.addEventListener(event, look);
    return () => {
      for (const event of events) element.removeEventListener(event, look);
    };
  }, [video]);
  return now.value;
}

/** Plays, or pauses. */
export function toggle(video: HTMLVideoElement): void {
  if (video.paused) playOf(video);
  else video.pause();
}

/** Plays, as far as the browser lets a page do so by itself. */
export function playOf(video: HTMLVideoElement): void {
  video.play().catch(() => undefined);
}
