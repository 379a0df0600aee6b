import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { text } from "../../text";

interface SourceProps {
  address: string;
  label: string;
  /** What is to be seen, in seconds; it becomes when that frame begins. */
  moment: Signal<number>;
  /** How long the video is, once that is known. */
  length: Signal<number | undefined>;
}

/** A moment within a frame, so far behind its begin, in seconds. */
export const WITHIN = 0.001;

/** The source at a moment, where this browser plays it. */
export function Source({ address, label, moment, length }: SourceProps) {
  const video = useRef<HTMLVideoElement>(null);
  const isUnreadable = useSignal(false);
  const chosen = moment.value;
  useEffect(() => {
    const element = video.current;
    if (element === null) return;
    element.currentTime = chosen + WITHIN;
    const shown = element.requestVideoFrameCallback((_, { mediaTime }) => {
      moment.value = mediaTime;
    });
    return () => element.cancelVideoFrameCallback(shown);
  }, [chosen]);
  if (isUnreadable.value) return <p class="nothing">{text.value.cannotShow}</p>;
  return (
    <div class="screen">
      <video
        ref={video}
        src={address}
        aria-label={label}
        muted
        playsInline
        preload="auto"
        onError={() => {
          isUnreadable.value = true;
        }}
        onLoadedMetadata={({ currentTarget: { duration } }) => {
          if (Number.isFinite(duration)) length.value = duration;
        }}
      />
    </div>
  );
}
