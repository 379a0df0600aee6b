import { batch, computed, signal } from "@preact/signals";

import { ask } from "../net/ask";
import { follow } from "../net/events";
import type { Job, JobPage, State } from "../net/types";
import { text } from "../text";

/** Jobs that a request lists. */
const PAGE = 200;

/** The states that a filter shows; none for all of them. */
export const FILTERS = {
  all: [],
  active: ["uploading", "queued", "planning", "running", "paused", "assembling"],
  done: ["done"],
  failed: ["failed", "cancelled"],
} as const satisfies Record<string, readonly State[]>;

export type Filter = keyof typeof FILTERS;

/** All jobs that the page knows of, by their ids. */
export const jobs = signal<ReadonlyMap<string, Job>>(new Map());
/** Whether the server is heard. */
export const heard = signal(true);
export const filter = signal<Filter>("all");
export const searched = signal("");
/** Whether the first page of what is looked for is there. */
export const listed = signal(false);
/** What a screen reader is told. */
export const announced = signal("");

/** Whether a file of this name, in this state, is looked for. */
export const isLookedFor = computed(() => {
  const states: readonly State[] = FILTERS[filter.value];
  const part = searched.value.trim().toLowerCase();
  return (name: string, state: State) =>
    (states.length === 0 || states.includes(state)) && name.toLowerCase().includes(part);
});

/** Where the list goes on; nothing at its end. */
const cursor = signal<string | undefined>(undefined);
/** Whether there are more than are listed. */
export const hasMore = computed(() => cursor.value !== undefined);
/** Counts what was looked for, so that late answers to an earlier question are told apart. */
let question = 0;
let asking = false;
/** Jobs heard of since the last list was asked for: what was heard is newer than what is listed. */
const heardOf = new Set<string>();

function merge(changed: readonly Job[], known: Iterable<readonly [string, Job]> = jobs.value): void {
  const merged = new Map(known);
  for (const job of changed) merged.set(job.id, job);
  jobs.value = merged;
}

/** Takes in a job as the server says that it is now. */
export function heardJob(job: Job): void {
  heardOf.add(job.id);
  const before = jobs.value.get(job.id)?.state;
  if (before !== undefined && before !== job.state && job.preview_of === null) {
    if (job.state === "done") announced.value = text.value.announceDone(job.name);
    if (job.state === "failed") announced.value = text.value.announceFailed(job.name);
  }
  merge([job]);
}

export function forget(id: string): void {
  const left = new Map(jobs.value);
  if (left.delete(id)) jobs.value = left;
}

function address(): string {
  const query = new URLSearchParams({ limit: String(PAGE) });
  const states = FILTERS[filter.value];
  if (states.length > 0) query.set("state", states.join(","));
  if (searched.value.trim() !== "") query.set("q", searched.value.trim());
  if (cursor.value !== undefined) query.set("cursor", cursor.value);
  return `/v1/jobs?${query}`;
}

/** Lists a page. With `anew`, what it does not hold was deleted unheard, or is further down. */
async function listPage(anew: boolean): Promise<void> {
  const asked = question;
  asking = true;
  heardOf.clear();
  try {
    const page = await ask<JobPage>("GET", address());
    if (asked !== question) return;
    batch(() => {
      const kept = anew ? [...jobs.value].filter(([id]) => heardOf.has(id)) : jobs.value;
      merge(
        page.jobs.filter((job) => !heardOf.has(job.id)),
        kept,
      );
      cursor.value = page.next ?? undefined;
      listed.value = true;
    });
  } finally {
    if (asked === question) asking = false;
  }
}

/** Lists what is looked for now, from its begin. */
export function list(): Promise<void> {
  question += 1;
  cursor.value = undefined;
  return listPage(true);
}

/** Lists what follows, unless that is under way or there is no more. */
export async function listMore(): Promise<void> {
  if (!asking && hasMore.value) await listPage(false);
}

/** How long a list that was refused is left alone, in milliseconds. */
const AGAIN = 3_000;

async function listUntilHeard(): Promise<void> {
  try {
    await list();
  } catch {
    setTimeout(listUntilHeard, AGAIN);
  }
}

/** Follows what happens to jobs. */
export function followJobs(): void {
  follow({
    gap: () => void listUntilHeard(),
    changed: heardJob,
    deleted: forget,
    heard: (yes) => {
      heard.value = yes;
    },
  });
  void listUntilHeard();
}

export type Command = "pause" | "resume" | "cancel" | "retry";

/** @throws {Problem} */
export async function command(id: string, command: Command): Promise<void> {
  heardJob(await ask<Job>("POST", `/v1/jobs/${id}/${command}`));
}

/** @throws {Problem} */
export async function deleteJob(id: string): Promise<void> {
  await ask("DELETE", `/v1/jobs/${id}`);
  forget(id);
}
