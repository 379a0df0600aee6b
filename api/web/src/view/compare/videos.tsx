import { useSignal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";

import type { Job } from "../../net/types";
import { text } from "../../text";
import { useFilm } from "../video/film";
import { useLock } from "../video/lock";
import { PlayButton } from "../video/play-button";
import { Shortage } from "../video/shortage";
import { Clock, Timeline } from "../video/timeline";
import { Stage } from "./stage";

/** Whether this browser may play media of a type; whether it does shows when it tries. */
const plays = (type: string) => document.createElement("video").canPlayType(type) !== "";

/** Whether both sides of a video are worth a try: the source, and the result or what is made of it so far. */
export function mayPlay({ source, result, links }: Job): boolean {
  const isShown = result === null ? links.stream !== null : plays(result.content_type);
  return links.source !== null && plays(source.content_type) && isShown;
}

interface VideosProps {
  job: Job;
  /** Called where a side cannot be played. */
  giveUp(): void;
}

/** Source and result of a video under one divider, which play as one. */
export function Videos({ job, giveUp }: VideosProps) {
  const before = useRef<HTMLVideoElement>(null);
  const after = useRef<HTMLVideoElement>(null);
  const { links } = job;
  // What is shown stays so when the result is there.
  const [stream] = useState(() => (job.result === null ? (links.stream ?? undefined) : undefined));
  const film = useFilm(after, job, stream);
  useLock(before, after);
  const size = useSignal<readonly [number, number]>(job.plan?.target_size ?? [1, 1]);
  const failure = film.stream?.failure.value;
  useEffect(() => {
    if (failure !== undefined) giveUp();
  }, [failure]);
  const look = ({ currentTarget: { videoWidth, videoHeight } }: { currentTarget: HTMLVideoElement }) => {
    // A browser that does not know the picture's codec plays the sound alone.
    if (videoWidth === 0) giveUp();
    return [videoWidth, videoHeight] as const;
  };
  const own = stream === undefined ? { src: links.result ?? "", onError: giveUp } : {};
  return (
    <>
      <div class="scene">
        <Stage
          size={size.value}
          before={
            <video
              ref={before}
              src={links.source ?? ""}
              aria-label={text.value.before}
              muted
              playsInline
              onError={giveUp}
              onLoadedMetadata={look}
            />
          }
          after={
            <video
              ref={after}
              {...own}
              aria-label={text.value.after}
              muted
              playsInline
              onLoadedMetadata={(event) => {
                // As it is turned on display.
                size.value = look(event);
              }}
            />
          }
        />
        <Shortage film={film} />
      </div>
      <div class="timeline" data-doing={film.doing}>
        {film.now && <PlayButton video={after} now={film.now} />}
        <Timeline film={film} />
        <Clock film={film} />
      </div>
    </>
  );
}
