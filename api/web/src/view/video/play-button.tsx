import { Pause, Play } from "lucide-preact";
import type { RefObject } from "preact";

import { text } from "../../text";
import { type Playback, toggle } from "./playback";

/** Plays a video, or pauses it. */
export function PlayButton({ video, now }: { video: RefObject<HTMLVideoElement>; now: Playback }) {
  const word = now.isPaused ? text.value.play : text.value.pause;
  return (
    <button
      type="button"
      class="icon"
      autofocus
      aria-label={word}
      title={word}
      onClick={() => video.current && toggle(video.current)}
    >
      {now.isPaused ? <Play size={18} /> : <Pause size={18} />}
    </button>
  );
}
