import { batch, signal } from "@preact/signals";
import Uppy, { type UppyFile } from "@uppy/core";
import { getETA, getSpeed } from "@uppy/core/utils";
import DropTarget from "@uppy/drop-target";
import ThumbnailGenerator from "@uppy/thumbnail-generator";
import XHRUpload from "@uppy/xhr-upload";

import { problemOf } from "../net/ask";
import type { Job, Settings } from "../net/types";
import { text } from "../text";
import { heardJob } from "./jobs";
import { notify } from "./notices";
import { refusal } from "./refusals";
import { initialSettings, said } from "./settings";

interface Meta extends Record<string, unknown> {
  /** What its result shall be like. */
  wish: Settings;
  /** What the server is sent before it: the JSON of a new job. */
  request?: string;
  /** Tries that have this in common make one job. */
  attempt?: string;
  /** Whether the server did not want it. */
  isRefused?: boolean;
  /** When it was added, in milliseconds. */
  added: number;
}

/** What the server answers to an upload. */
type Body = Job & Record<string, unknown>;

export type LocalFile = UppyFile<Meta, Body>;

/** Uploads at once. */
const AT_ONCE = 3;

/** Files that are not, or not wholly, at the server, by their ids. */
export const files = signal<Readonly<Record<string, LocalFile>>>({});

/** Ids of files by those of their jobs, so that a row stays the same row. */
export const fileOfJob = new Map<string, { id: string; added: number }>();

/** Files that are added within this time are added together, in milliseconds. */
const TOGETHER = 1_000;
let together = { since: 0, files: 0 };

/** When a file is added now; the first of several is the newest, so that they stand in their own order. */
function whenAdded(): number {
  const now = Date.now();
  if (now - together.since > TOGETHER) together = { since: now, files: 0 };
  together.files += 1;
  return together.since - together.files / 1000;
}

const uppy = new Uppy<Meta, Body>({
  autoProceed: false,
  allowMultipleUploadBatches: true,
  onBeforeFileAdded(file, known) {
    const why = refusal(file.name, file.size ?? 0, file.id in known);
    if (why !== undefined) {
      notify(why);
      return false;
    }
    return { ...file, meta: { ...file.meta, wish: initialSettings(), added: whenAdded() } };
  },
})
  .use(XHRUpload, {
    endpoint: "/v1/jobs",
    limit: AT_ONCE,
    allowedMetaFields: ["request"],
    headers: ({ meta }) => ({ "idempotency-key": String(meta.attempt) }),
    // How long nothing may be sent, in milliseconds; none for a server that has all of it and looks at it.
    timeout: 0,
    shouldRetry: ({ status }) => status === 0 || status >= 500,
  })
  .use(ThumbnailGenerator, { thumbnailWidth: 128 })
  .use(DropTarget, { target: document.body });

uppy.on("state-update", (_, next) => {
  files.value = next.files;
});

/** Has `listener` told of the ids of files whenever some are added. */
export function onAdded(listener: (ids: string[]) => void): void {
  uppy.on("files-added", (added) => listener(added.map(({ id }) => id)));
}

uppy.on("upload-success", (file, response) => {
  const job = response.body;
  if (file === undefined || job === undefined) return;
  fileOfJob.set(job.id, { id: file.id, added: file.meta.added });
  batch(() => {
    heardJob(job);
    uppy.removeFile(file.id);
  });
});

uppy.on("upload-error", (file, _, response) => {
  const request = response as unknown as XMLHttpRequest | undefined;
  if (file === undefined) return;
  const refusal = request?.status ? problemOf(request.status, request.responseText).message : undefined;
  describe(file.id, { isRefused: refusal !== undefined });
  uppy.setFileState(file.id, { error: refusal ?? text.value.connectionLost });
});

function describe(id: string, meta: Partial<Meta>): void {
  uppy.setFileMeta(id, meta as Meta);
}

export const isStarted = (file: LocalFile) => file.progress.uploadStarted !== null && !file.error;

/** Bytes a second, and seconds until all is there; nothing as long as that is not known. */
export function pace(file: LocalFile): { speed: number; left: number } | undefined {
  const { progress } = file;
  if (progress.uploadStarted === null || !progress.bytesUploaded || !progress.bytesTotal) return undefined;
  return { speed: getSpeed(progress), left: getETA(progress) };
}

export function addFiles(added: Iterable<File>): void {
  const descriptors = [...added].map((file) => ({ source: "page", name: file.name, type: file.type, data: file }));
  uppy.addFiles(descriptors);
}

export function changeWish(id: string, wish: Settings): void {
  describe(id, { wish });
}

/** A name that nobody else thinks of; pages that came unencrypted have no `randomUUID`. */
const randomName = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** Starts the upload of one file. */
export function startUpload(id: string): void {
  const file = uppy.getFile(id);
  if (file === undefined || isStarted(file)) return;
  describe(id, { request: JSON.stringify({ settings: said(file.meta.wish) }), attempt: randomName() });
  // Of one file rather than of all that wait, Uppy starts an upload only as a retry. Why it fails, the file says.
  uppy.retryUpload(id).catch(() => undefined);
}

/** Takes a file from the list; its upload ends. */
export function removeFile(id: string): void {
  uppy.removeFile(id);
}

/** Takes back the upload of a file, which can be started again. */
export function cancelUpload(id: string): void {
  const file = uppy.getFile(id);
  if (file === undefined || file.isRemote || file.data === undefined) return;
  const { data, name, type, meta } = file;
  removeFile(id);
  uppy.addFile({ source: "page", name, type, data });
  describe(id, { wish: meta.wish, added: meta.added });
}

/** Whether files are held above the page. */
export const isDragging = signal(false);

uppy.on("state-update", (_, next) => {
  isDragging.value = Boolean((next.plugins.DropTarget as { isDraggingOver?: boolean } | undefined)?.isDraggingOver);
});
