import { computed, signal } from "@preact/signals";

import type { Job } from "../../net/types";
import { jobs } from "../../state/jobs";
import type { Row } from "../../state/rows";

const id = signal<string | undefined>();

/** The job that is compared, as it is now. */
export const compared = computed<Job | undefined>(() =>
  id.value === undefined ? undefined : jobs.value.get(id.value),
);

export function canCompare(row: Row): row is Row & { job: Job } {
  if (!("job" in row) || row.job.links.source === null) return false;
  const { kind, links, progress } = row.job;
  return kind === "picture" ? links.result !== null : progress.batches_done > 0;
}

/** Why a job is compared rather than shown otherwise. */
export const reason = signal<string | undefined>();

export function openCompare({ job }: { job: Job }, why?: string): void {
  id.value = job.id;
  reason.value = why;
}

export function closeCompare(): void {
  id.value = undefined;
}
