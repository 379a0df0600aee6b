import { signal } from "@preact/signals";
import type Hls from "hls.js";
import type { ErrorData, HlsConfig, LoaderResponse, LoadPolicy, RetryConfig } from "hls.js";

import type { Begins } from "../../state/parts";

/** What a browser that plays streams by itself knows them as. */
const STREAM = "application/vnd.apple.mpegurl";
/** How long the server may think before it says that a part is not there yet, in milliseconds: it waits for 20 s. */
const ANSWER = 40_000;
/** How long a part may be under way, in milliseconds. */
const PART = 600_000;
/** How long a part that is not there yet is left alone, in milliseconds. */
const AGAIN = 1_000;
/** How far ahead is loaded before more is known, in seconds. */
const AHEAD = 1;
/** What was shown stays in memory for so long, in seconds. */
const BEHIND = 30;

/** What the server refuses it refuses again; a part that is not there yet, or a lost connection, is worth another try. */
const shouldRetry = (_: unknown, _count: number, isTimeout: boolean, answer: LoaderResponse | undefined) =>
  isTimeout || !answer?.code || answer.code >= 500;

const again: RetryConfig = {
  maxNumRetry: Number.POSITIVE_INFINITY,
  retryDelayMs: AGAIN,
  maxRetryDelayMs: AGAIN,
  backoff: "linear",
  shouldRetry,
};

const patient: LoadPolicy = {
  default: { maxTimeToFirstByteMs: ANSWER, maxLoadTimeMs: PART, timeoutRetry: again, errorRetry: again },
};

const CONFIG: Partial<HlsConfig> = {
  // One would have to be let through the page's policy, and segments are passed on as they are.
  enableWorker: false,
  backBufferLength: BEHIND,
  // How far ahead it loads is a matter of time, not of bytes, and is said as it plays.
  maxBufferSize: 0,
  maxBufferLength: AHEAD,
  manifestLoadPolicy: patient,
  playlistLoadPolicy: patient,
  fragLoadPolicy: patient,
};

/** Why a stream is not shown: this browser does not show its codec, it is there no more, or the player could not be loaded. */
export type Failure = "unsupported" | "gone" | "unreachable";

function failureOf({ type, response }: ErrorData): Failure {
  // 409: no player shows it.
  return type === "networkError" && response?.code !== 409 ? "gone" : "unsupported";
}

/** One of the source's sounds. */
export interface Sound {
  /** Its title, or where it has none its language. */
  name: string;
  language: string | undefined;
}

/** A stream in a video element, until it is ended. */
export class Stream {
  /** When its parts begin, once its playlist said so; never where the browser reads that itself. */
  readonly begins = signal<Begins | undefined>(undefined);
  /** The sounds that there are to choose from. */
  readonly sounds = signal<readonly Sound[]>([]);
  /** Which of them is heard. */
  readonly sound = signal(0);
  readonly failure = signal<Failure | undefined>(undefined);
  private hls: Hls | undefined;
  private hasEnded = false;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly address: string,
  ) {
    this.load().catch(() => this.fail("unreachable"));
  }

  /** Loads no more than so many seconds ahead of what is shown. */
  lookAhead(seconds: number): void {
    if (this.hls !== undefined) this.hls.config.maxBufferLength = seconds;
  }

  /** Has another sound be heard. */
  choose(sound: number): void {
    if (this.hls !== undefined) this.hls.audioTrack = sound;
  }

  end(): void {
    this.hasEnded = true;
    this.hls?.destroy();
    this.video.removeAttribute("src");
    this.video.load();
  }

  private fail(failure: Failure): void {
    if (!this.hasEnded) this.failure.value = failure;
  }

  private async load(): Promise<void> {
    const { default: Hls } = await import("hls.js");
    if (this.hasEnded) return;
    if (!Hls.isSupported()) return this.loadNatively();
    const hls = new Hls(CONFIG);
    hls.on(Hls.Events.LEVEL_LOADED, (_, { details }) => {
      this.begins.value = [...details.fragments.map(({ start }) => start), details.edge];
    });
    hls.on(Hls.Events.AUDIO_TRACKS_UPDATED, (_, { audioTracks }) => {
      this.sounds.value = audioTracks.map(({ name, lang }) => ({ name, language: lang }));
    });
    hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, (_, { id }) => {
      this.sound.value = id;
    });
    hls.on(Hls.Events.ERROR, (_, error) => {
      // What was made anew meanwhile has another playlist.
      if (error.response?.code === 410 && error.frag !== undefined) hls.loadSource(this.address);
      else if (error.fatal) this.fail(failureOf(error));
    });
    hls.loadSource(this.address);
    hls.attachMedia(this.video);
    this.hls = hls;
  }

  /** Where a page may not put a stream together, as on iPhones, the browser does. */
  private loadNatively(): void {
    if (this.video.canPlayType(STREAM) === "") {
      this.fail("unsupported");
      return;
    }
    this.video.onerror = () => this.fail("unsupported");
    this.video.src = this.address;
  }
}
