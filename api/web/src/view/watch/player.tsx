import { useEffect, useRef } from "preact/hooks";

import type { Job } from "../../net/types";
import { text } from "../../text";
import { openCompare } from "../compare/open";
import { useFilm } from "../video/film";
import { playOf, toggle } from "../video/playback";
import { Shortage } from "../video/shortage";
import { Controls } from "./controls";
import { closeWatch } from "./open";

/** Plays a job's stream: its parts as they are finished, of which those are made first that are looked at. */
export function Player({ job, address }: { job: Job; address: string }) {
  const box = useRef<HTMLElement>(null);
  const video = useRef<HTMLVideoElement>(null);
  const film = useFilm(video, job, address);
  const { moment, end, part, doing, seek, stream } = film;
  const press = (event: KeyboardEvent) => {
    const use = KEYS[event.key];
    if (use === undefined || isUsed(event.target as Element) || video.current === null) return;
    event.preventDefault();
    use(video.current, (steps) => seek(moment + steps * Math.min(STEP, end / STEPS)));
  };
  const failure = stream?.failure.value;
  useEffect(() => {
    if (failure !== "unsupported") return;
    closeWatch();
    openCompare({ job }, text.value.cannotWatch);
  }, [failure]);
  return (
    <section
      ref={box}
      class="player"
      aria-label={job.name}
      tabIndex={-1}
      data-doing={doing}
      data-part={part}
      onKeyDown={press}
    >
      <div class="screen">
        {/* biome-ignore lint/a11y/useMediaCaption: what subtitles there are, the download has */}
        <video
          ref={video}
          aria-label={job.name}
          autoplay
          playsInline
          onLoadedData={({ currentTarget }) => playOf(currentTarget)}
          onClick={({ currentTarget }) => toggle(currentTarget)}
        />
        <Shortage film={film} />
      </div>
      <Controls box={box} video={video} film={film} />
    </section>
  );
}

/** How far an arrow key moves, in seconds; in a short video a share of it. */
const STEP = 5;
const STEPS = 20;

/** What keys do wherever the focus is in a player. */
const KEYS: Record<string, (video: HTMLVideoElement, move: (steps: number) => void) => void> = {
  " ": toggle,
  ArrowLeft: (_, move) => move(-1),
  ArrowRight: (_, move) => move(1),
};

/** Whether a control has a use for keys itself; the timeline moves as the arrow keys do elsewhere. */
const isUsed = (target: Element) => target.matches("button, select, input:not(.moment)");
