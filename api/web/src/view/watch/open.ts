import { computed, signal } from "@preact/signals";

import type { Job } from "../../net/types";
import { jobs } from "../../state/jobs";
import type { Row } from "../../state/rows";

const id = signal<string | undefined>();

/** The job that is watched, as it is now. */
export const watched = computed<Job | undefined>(() => (id.value === undefined ? undefined : jobs.value.get(id.value)));

export function canWatch(row: Row): row is Row & { job: Job } {
  return "job" in row && row.job.links.stream !== null;
}

export function openWatch({ job }: { job: Job }): void {
  id.value = job.id;
}

export function closeWatch(): void {
  id.value = undefined;
}
