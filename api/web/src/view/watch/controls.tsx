import { useSignal } from "@preact/signals";
import { Maximize, Minimize, Volume2, VolumeX } from "lucide-preact";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

import { waitFor } from "../../state/parts";
import { text } from "../../text";
import { duration, rate, tongue } from "../../text/format";
import type { Film } from "../video/film";
import { PlayButton } from "../video/play-button";
import type { Playback } from "../video/playback";
import type { Stream } from "../video/stream";
import { Clock, Timeline } from "../video/timeline";

interface ControlsProps {
  /** What a full screen holds. */
  box: RefObject<HTMLElement>;
  video: RefObject<HTMLVideoElement>;
  film: Film;
}

/** What a player is steered with. */
export function Controls({ box, video, film }: ControlsProps) {
  const { now, stream } = film;
  if (now === undefined) return null;
  return (
    <div class="controls">
      <Timeline film={film} />
      <div class="bar">
        <PlayButton video={video} now={now} />
        <Clock film={film} />
        <Outlook film={film} />
        {stream && <Sounds stream={stream} />}
        <Volume video={video} now={now} />
        <FullScreen box={box} />
      </div>
    </div>
  );
}

/** How the fleet keeps up with who watches. */
function Outlook({ film: { job, begins, moment } }: { film: Film }) {
  const said = text.value;
  const { state, progress } = job;
  const wait = waitFor(progress, begins, moment);
  const isInWork = state !== "done" && progress.batches_done < progress.batches;
  const pace = isInWork && state === "running" ? progress.frames_per_second : null;
  return (
    <span class="outlook">
      {isInWork && <span>{said.batches(progress.batches_done, progress.batches)}</span>}
      {pace !== null && <span>{said.framesASecond(rate(pace))}</span>}
      {wait !== undefined && (
        <span data-wait={Math.round(wait)}>{wait < 1 ? said.playsThrough : said.playsThroughIn(duration(wait))}</span>
      )}
    </span>
  );
}

/** The languages of the sound, where there are several. */
function Sounds({ stream }: { stream: Stream }) {
  if (stream.sounds.value.length < 2) return null;
  return (
    <select
      class="quiet"
      aria-label={text.value.sound}
      title={text.value.sound}
      value={stream.sound.value}
      onChange={({ currentTarget }) => stream.choose(Number(currentTarget.value))}
    >
      {stream.sounds.value.map(({ name, language }, sound) => (
        <option key={name} value={sound}>
          {name === language ? tongue(language) : name}
        </option>
      ))}
    </select>
  );
}

function Volume({ video, now: { volume, isMuted } }: { video: RefObject<HTMLVideoElement>; now: Playback }) {
  const word = isMuted ? text.value.unmute : text.value.mute;
  const change = (changed: Partial<HTMLVideoElement>) => video.current && Object.assign(video.current, changed);
  return (
    <>
      <button type="button" class="icon" aria-label={word} title={word} onClick={() => change({ muted: !isMuted })}>
        {isMuted ? <VolumeX size={18} /> : <Volume2 size={18} />}
      </button>
      <input
        type="range"
        class="volume"
        aria-label={text.value.volume}
        min={0}
        max={1}
        step={0.05}
        value={isMuted ? 0 : volume}
        onInput={({ currentTarget }) => change({ muted: false, volume: currentTarget.valueAsNumber })}
      />
    </>
  );
}

/** Where the browser can do so, a player over all of the screen. */
function FullScreen({ box }: { box: RefObject<HTMLElement> }) {
  const isFull = useSignal(false);
  useEffect(() => {
    const look = () => {
      isFull.value = document.fullscreenElement !== null;
    };
    document.addEventListener("fullscreenchange", look);
    return () => document.removeEventListener("fullscreenchange", look);
  }, []);
  if (!document.fullscreenEnabled) return null;
  const word = isFull.value ? text.value.leaveFullScreen : text.value.fullScreen;
  return (
    <button
      type="button"
      class="icon"
      aria-label={word}
      title={word}
      onClick={() => (isFull.value ? document.exitFullscreen() : box.current?.requestFullscreen())}
    >
      {isFull.value ? <Minimize size={18} /> : <Maximize size={18} />}
    </button>
  );
}
