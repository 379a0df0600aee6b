import { computed, signal } from "@preact/signals";

import type { Job } from "../../net/types";
import { jobs } from "../../state/jobs";
import type { Row } from "../../state/rows";

const id = signal<string | undefined>();

/** The job that is looked at before all of it is done, as it is now. */
export const previewed = computed<Job | undefined>(() =>
  id.value === undefined ? undefined : jobs.value.get(id.value),
);

/** In which states work on a job is not over. */
const EARLY = ["queued", "planning", "running", "paused"];

/** Whether a video waits, or nothing of it is there to look at yet. */
export function canPreview(row: Row): row is Row & { job: Job } {
  if (!("job" in row) || row.job.links.source === null || !EARLY.includes(row.phase)) return false;
  return row.job.kind === "video" && row.job.progress.batches_done === 0;
}

export function openPreview({ job }: { job: Job }): void {
  id.value = job.id;
}

export function closePreview(): void {
  id.value = undefined;
}
