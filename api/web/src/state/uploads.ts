import { batch, signal } from "@preact/signals";
import Uppy, { type UppyFile } from "@uppy/core";
import DropTarget from "@uppy/drop-target";
import ThumbnailGenerator from "@uppy/thumbnail-generator";
import Tus from "@uppy/tus";

import { ask, problemOf } from "../net/ask";
import type { Job, Settings } from "../net/types";
import { text } from "../text";
import { deleteJob, forget, heardJob, jobs } from "./jobs";
import { notify } from "./notices";
import { refusal } from "./refusals";
import { initialSettings, said } from "./settings";

interface Meta extends Record<string, unknown> {
  /** What its result shall be like. */
  wish: Settings;
  /** What the server is told of it: the JSON of a new job. */
  settings?: string;
  /** The job whose upload it goes on with. */
  job?: string;
  /** Whether the server did not want it. */
  isRefused?: boolean;
  /** When it was added, in milliseconds. */
  added: number;
}

/** What the server's last answer to an upload is known by. */
type Body = { xhr?: XMLHttpRequest };

export type LocalFile = UppyFile<Meta, Body>;

/** Where uploads are made. An upload has the id of its job. */
const ENDPOINT = "/v1/uploads";
/** Uploads at once. */
const AT_ONCE = 3;
/** Waits between tries, in milliseconds: ten minutes without a server break no upload. */
const RETRIES = [500, 1_000, 2_000, 4_000, 8_000, ...Array.from({ length: 40 }, () => 15_000)];

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
  .use(Tus, {
    endpoint: ENDPOINT,
    limit: AT_ONCE,
    retryDelays: RETRIES,
    removeFingerprintOnSuccess: true,
    allowedMetaFields: ["name", "settings"],
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

uppy.on("files-added", (added) => {
  for (const file of added) {
    const job = interruptedJob(file);
    if (job !== undefined) goOnWith(file.id, job);
  }
});

uppy.on("upload-success", async (file) => {
  const id = file && jobOf(file);
  if (file === undefined || id === undefined) return;
  fileOfJob.set(id, { id: file.id, added: file.meta.added });
  const job = await ask<Job>("GET", `/v1/jobs/${id}`).catch(() => undefined);
  batch(() => {
    if (job !== undefined) heardJob(job);
    uppy.removeFile(file.id);
  });
});

uppy.on("upload-error", (file, _, response) => {
  if (file === undefined) return;
  const request = response?.body?.xhr;
  const refusal = request?.status ? problemOf(request.status, request.responseText).message : undefined;
  describe(file.id, { isRefused: refusal !== undefined });
  uppy.setFileState(file.id, { error: refusal ?? text.value.connectionLost });
});

/** The job whose upload of such a file broke off, in this browser or another. */
function interruptedJob({ name, size }: LocalFile): string | undefined {
  const taken = new Set(Object.values(files.value).map(jobOf));
  const isIt = (job: Job) =>
    job.state === "uploading" && job.name === name && job.source.bytes === size && !taken.has(job.id);
  return [...jobs.value.values()].find(isIt)?.id;
}

function goOnWith(id: string, job: string): void {
  describe(id, { job });
  uppy.setFileState(id, { tus: { uploadUrl: `${ENDPOINT}/${job}` } });
  startUpload(id);
}

/** The id of the job that a file is the source of; nothing before the server knows of it. */
export function jobOf(file: LocalFile): string | undefined {
  const uploadUrl = "tus" in file ? file.tus?.uploadUrl : undefined;
  return uploadUrl?.split("/").at(-1) ?? file.meta.job;
}

function describe(id: string, meta: Partial<Meta>): void {
  uppy.setFileMeta(id, meta as Meta);
}

export const isStarted = (file: LocalFile) => file.progress.uploadStarted !== null && !file.error;

/** What had come of a file when its upload began or went on, and when that was, in milliseconds. */
const begun = new Map<string, { bytes: number; at: number }>();

uppy.on("upload-progress", (file, { bytesUploaded }) => {
  if (file !== undefined && !begun.has(file.id)) begun.set(file.id, { bytes: bytesUploaded, at: Date.now() });
});

/** Bytes a second, and seconds until all is there; nothing as long as that is not known. */
export function pace({ id, progress }: LocalFile): { speed: number; left: number } | undefined {
  const since = begun.get(id);
  if (since === undefined || !progress.bytesUploaded || !progress.bytesTotal) return undefined;
  const speed = (progress.bytesUploaded - since.bytes) / ((Date.now() - since.at) / 1000);
  return speed > 0 ? { speed, left: (progress.bytesTotal - progress.bytesUploaded) / speed } : undefined;
}

export function addFiles(added: Iterable<File>): void {
  const descriptors = [...added].map((file) => ({ source: "page", name: file.name, type: file.type, data: file }));
  uppy.addFiles(descriptors);
}

export function changeWish(id: string, wish: Settings): void {
  describe(id, { wish });
}

/** Starts the upload of one file, or goes on with it. */
export function startUpload(id: string): void {
  const file = uppy.getFile(id);
  if (file === undefined || isStarted(file)) return;
  begun.delete(id);
  describe(id, { settings: JSON.stringify({ settings: said(file.meta.wish) }) });
  // Of one file rather than of all that wait, Uppy starts an upload only as a retry. Why it fails, the file says.
  uppy.retryUpload(id).catch(() => undefined);
}

/** Takes a file from the list; what of it is at the server is deleted. */
export function removeFile(id: string): void {
  const file = uppy.getFile(id);
  if (file === undefined) return;
  const [job, runs] = [jobOf(file), isStarted(file)];
  uppy.removeFile(id);
  if (job === undefined) return;
  // Uppy ends an upload that runs at the server, too, and leaves one that broke off.
  if (!runs) deleteJob(job).catch(() => undefined);
  forget(job);
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
