import { useRef } from "preact/hooks";

import type { Job } from "../../net/types";
import { text } from "../../text";
import { Stage } from "../compare/stage";
import { useLock } from "../video/lock";
import { playOf } from "../video/playback";
import { WITHIN } from "./source";

interface ShownProps {
  /** It is done. */
  preview: Job;
  /** Address of the source. */
  source: string;
  /** Which moment of the source it shows, in seconds. */
  at: number;
}

/** A preview beside the source. */
export function Shown({ preview: { result, links }, source, at }: ShownProps) {
  if (result === null || links.result === null) return null;
  const isVideo = result.content_type.startsWith("video/");
  const size = [result.width, result.height] as const;
  return isVideo ? (
    <Moving size={size} source={source} result={links.result} at={at} />
  ) : (
    <Stage
      size={size}
      before={<Frame source={source} at={at} />}
      after={<img src={links.result} alt={text.value.after} draggable={false} />}
    />
  );
}

function Frame({ source, at }: { source: string; at: number }) {
  return (
    <video
      src={source}
      aria-label={text.value.before}
      muted
      playsInline
      onLoadedMetadata={({ currentTarget }) => {
        currentTarget.currentTime = at + WITHIN;
      }}
    />
  );
}

interface MovingProps {
  size: readonly [number, number];
  source: string;
  result: string;
  at: number;
}

/** A preview that moves, again and again, and the source with it. */
function Moving({ size, source, result, at }: MovingProps) {
  const before = useRef<HTMLVideoElement>(null);
  const after = useRef<HTMLVideoElement>(null);
  useLock(before, after, at);
  return (
    <Stage
      size={size}
      before={<video ref={before} src={source} aria-label={text.value.before} muted playsInline />}
      after={
        <video
          ref={after}
          src={result}
          aria-label={text.value.after}
          muted
          loop
          playsInline
          onLoadedData={({ currentTarget }) => playOf(currentTarget)}
        />
      }
    />
  );
}
