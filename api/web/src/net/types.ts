/** What the API answers with: the parts of it that the page uses. `/openapi.json` has all of it. */

export type State =
  | "uploading"
  | "queued"
  | "planning"
  | "running"
  | "paused"
  | "assembling"
  | "done"
  | "failed"
  | "cancelled"
  | "expired";

export type Denoise = "off" | "light" | "strong";

/** What a result shall be like; what is left out follows from the source. */
export interface Settings {
  /** A factor such as `2` or a size such as `1920x1080`. */
  target: string;
  format?: string | null;
  codec?: string | null;
  crf?: number | null;
  quality?: number | null;
  denoise?: Denoise;
  /** From 0 to 1. */
  sharpen?: number;
}

export interface Progress {
  /** Frames; tiles of a picture. */
  done: number;
  total: number;
  batches_done: number;
  batches: number;
  /** Finished batches, as runs from the first to before the last. */
  finished: [from: number, to: number][];
  frames_per_second: number | null;
  seconds_left: number | null;
  place_in_line: number | null;
}

export interface Failure {
  code: string;
  message: string;
  causes: string[];
  batch: number | null;
}

export interface Job {
  id: string;
  name: string;
  kind: "picture" | "video";
  /** The job that it is a preview of. */
  preview_of: string | null;
  state: State;
  created: string;
  changed: string;
  ended: string | null;
  settings: Settings;
  source: { bytes: number; received: number; content_type: string };
  progress: Progress;
  plan: {
    frames: number;
    source_size: [number, number];
    target_size: [number, number];
    seconds: number;
  } | null;
  result: {
    name: string;
    bytes: number;
    content_type: string;
    width: number;
    height: number;
    sha256: string;
  } | null;
  failure: Failure | null;
  notes: string[];
  links: { source: string | null; stream: string | null; result: string | null };
}

export interface JobPage {
  jobs: Job[];
  next: string | null;
}

export interface Capabilities {
  formats: { name: string; content_type: string; codecs: string[] }[];
  codecs: string[];
  /** File formats of sources, by what their names end with. */
  sources: { extensions: string[] }[];
  limits: { bytes: number; edge: number };
}

export interface Estimate {
  /** Of work of one worker; null where no rate is known. */
  seconds: number | null;
}

export interface Session {
  owner: string;
  role: "user" | "admin";
  by_cookie: boolean;
}
