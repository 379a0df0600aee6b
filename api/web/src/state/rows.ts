import { computed, signal } from "@preact/signals";

import type { Job, Settings, State } from "../net/types";
import { filter, isLookedFor, jobs, listed, searched } from "./jobs";
import { fileOfJob, files, isStarted, jobOf, type LocalFile, onAdded } from "./uploads";

/** What a row is about: a file here, a job at the server, or both while one becomes the other. */
export type Row = {
  key: string;
  name: string;
  /** When it was added, in milliseconds: newer ones come first. */
  added: number;
} & ({ phase: "ready" | "sending" | "broken"; file: LocalFile } | { phase: State; job: Job });

function ofFile(file: LocalFile): Row {
  const phase = isStarted(file) ? "sending" : file.error ? "broken" : "ready";
  return { key: file.id, name: file.name, added: file.meta.added, phase, file };
}

function ofJob(job: Job): Row {
  const file = fileOfJob.get(job.id);
  return {
    key: file?.id ?? job.id,
    name: job.name,
    added: file?.added ?? Date.parse(job.created),
    phase: job.state,
    job,
  };
}

/** What a row counts as for those who look for a state. */
function stateOf(row: Row): State {
  switch (row.phase) {
    case "ready":
    case "sending":
      return "uploading";
    case "broken":
      return "failed";
    default:
      return row.phase;
  }
}

/** All rows that are looked for, the newest first. */
export const rows = computed<readonly Row[]>(() => {
  const here = Object.values(files.value);
  const sent = new Set(here.map(jobOf));
  const there = [...jobs.value.values()].filter((job) => !sent.has(job.id) && job.preview_of === null);
  const all = [...here.map(ofFile), ...there.map(ofJob)];
  const isIn = isLookedFor.value;
  return all.filter((row) => isIn(row.name, stateOf(row))).sort((a, b) => b.added - a.added);
});

/** Whether there is nothing at all, whatever is looked for. */
export const isEmpty = computed(
  () => rows.value.length === 0 && listed.value && filter.value === "all" && searched.value.trim() === "",
);

/** Keys of the rows that are ticked. */
export const ticked = signal<ReadonlySet<string>>(new Set());

export const tickedRows = computed(() => rows.value.filter((row) => ticked.value.has(row.key)));

export function tick(keys: Iterable<string>, on: boolean): void {
  const changed = new Set(ticked.value);
  for (const key of keys) {
    if (on) changed.add(key);
    else changed.delete(key);
  }
  ticked.value = changed;
}

// What was just added is most likely what is started next.
onAdded((ids) => tick(ids, true));

export const wishOf = (row: Row): Settings => ("file" in row ? row.file.meta.wish : row.job.settings);

/** Whether its settings can still be changed without doing anything again. */
export function isOpen(row: Row): boolean {
  if ("file" in row) return row.phase === "ready";
  return row.job.plan === null && ["uploading", "queued", "paused"].includes(row.phase);
}

/** Whether another result can be made of the same source. */
export const canRedo = (row: Row) => row.phase === "done";
