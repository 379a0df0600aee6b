import { ask } from "../net/ask";
import type { Job, Settings } from "../net/types";
import { type Command, command, deleteJob, heardJob } from "./jobs";
import { notifyOf } from "./notices";
import { isOpen, type Row, tick } from "./rows";
import { keepSettings, said } from "./settings";
import { cancelUpload, changeWish, removeFile, startUpload } from "./uploads";

const RUNS = ["queued", "planning", "running"] as const;
const IN_WORK = [...RUNS, "paused", "assembling"] as const;

type Phases = readonly Row["phase"][];

/** What can be asked of a row, and in which phases. */
const OFFERED = {
  start: ["ready", "broken"],
  cancelUpload: ["sending"],
  pause: RUNS,
  resume: ["paused"],
  cancel: IN_WORK,
  retry: ["failed", "cancelled"],
  download: ["done"],
  delete: ["ready", "broken", "uploading", "failed", "cancelled", "done", "expired"],
} as const satisfies Record<string, Phases>;

export type Action = keyof typeof OFFERED;

export const offers = (row: Row, action: Action) => (OFFERED[action] as Phases).includes(row.phase);

/** Whether deleting it loses something that is at the server only. */
export const isAtServer = (row: Row) => "job" in row;

function download(job: Job): void {
  const link = document.createElement("a");
  link.href = job.links.result ?? "";
  link.download = job.result?.name ?? "";
  link.click();
}

async function act(row: Row, action: Action): Promise<void> {
  if ("file" in row) {
    if (action === "start") startUpload(row.file.id);
    if (action === "cancelUpload") cancelUpload(row.file.id);
    if (action === "delete") removeFile(row.file.id);
    return;
  }
  if (action === "download") download(row.job);
  else if (action === "delete") await deleteJob(row.job.id);
  else await command(row.job.id, action as Command);
}

/** Does it with all rows that offer it; what is refused is said. */
export async function perform(action: Action, rows: readonly Row[]): Promise<void> {
  const offering = rows.filter((row) => offers(row, action));
  if (action === "delete" || action === "start") {
    tick(
      offering.map((row) => row.key),
      false,
    );
  }
  const done = await Promise.allSettled(offering.map((row) => act(row, action)));
  for (const one of done) if (one.status === "rejected") notifyOf(one.reason);
}

/** Gives these settings to all rows that can still have others, and to files that are added later. */
export async function changeSettings(rows: readonly Row[], settings: Settings): Promise<void> {
  keepSettings(settings);
  for (const row of rows.filter(isOpen)) {
    if ("file" in row) changeWish(row.file.id, settings);
    else await ask<Job>("PATCH", `/v1/jobs/${row.job.id}`, { settings: said(settings) }).then(heardJob, notifyOf);
  }
}

/** Makes another result of one row's source; the one that is there stays until then. */
export async function redo(row: Row, settings: Settings): Promise<void> {
  if (!("job" in row)) return;
  await ask<Job>("POST", `/v1/jobs/${row.job.id}/redo`, { settings: said(settings) }).then(heardJob, notifyOf);
}
