import { beforeEach, expect, test, vi } from "vitest";

import type { Job, JobPage, State } from "../src/net/types";
import { filter, forget, hasMore, heardJob, isLookedFor, jobs, list, listMore, searched } from "../src/state/jobs";

// Node 20 has none.
vi.hoisted(() => vi.stubGlobal("navigator", { languages: ["en"] }));

const job = (id: string, state: State = "queued") => ({ id, name: `${id}.png`, state }) as Job;

/** Requests for lists that are under way, by their addresses. */
const asked: { address: string; answer(page: JobPage): void }[] = [];

beforeEach(() => {
  asked.length = 0;
  jobs.value = new Map();
  filter.value = "all";
  searched.value = "";
  vi.stubGlobal("fetch", (address: string) => {
    return new Promise<Response>((resolve) => {
      asked.push({ address, answer: (page) => resolve(new Response(JSON.stringify(page))) });
    });
  });
});

const known = () => [...jobs.value.values()].map(({ id, state }) => `${id} ${state}`).sort();

test("what is heard while a list is under way is newer than what it says", async () => {
  const done = list();
  heardJob(job("a", "done"));
  asked[0]?.answer({ jobs: [job("a"), job("b")], next: null });
  await done;
  expect(known()).toEqual(["a done", "b queued"]);
});

test("what a new list does not hold was deleted unheard", async () => {
  heardJob(job("a"));
  const done = list();
  heardJob(job("c"));
  asked[0]?.answer({ jobs: [job("b")], next: null });
  await done;
  expect(known()).toEqual(["b queued", "c queued"]);
  forget("b");
  expect(known()).toEqual(["c queued"]);
});

test("an answer to an earlier question is passed over", async () => {
  const earlier = list();
  searched.value = "b";
  const later = list();
  asked[1]?.answer({ jobs: [job("b")], next: null });
  asked[0]?.answer({ jobs: [job("a")], next: "more" });
  await Promise.all([earlier, later]);
  expect(known()).toEqual(["b queued"]);
  expect(hasMore.value).toBe(false);
});

test("a list goes on where its last page ended, once at a time", async () => {
  searched.value = " holiday ";
  filter.value = "failed";
  const first = list();
  asked[0]?.answer({ jobs: [job("a", "failed")], next: "there" });
  await first;
  const more = [listMore(), listMore()];
  expect(asked.map(({ address }) => address)).toEqual([
    "/v1/jobs?limit=200&state=failed%2Ccancelled&q=holiday",
    "/v1/jobs?limit=200&state=failed%2Ccancelled&q=holiday&cursor=there",
  ]);
  asked[1]?.answer({ jobs: [job("b", "failed")], next: null });
  await Promise.all(more);
  expect(known()).toEqual(["a failed", "b failed"]);
  await listMore();
  expect(asked.length).toBe(2);
});

test("names are looked for as the server does, and states by their filter", () => {
  filter.value = "active";
  searched.value = "HOLI";
  expect(isLookedFor.value("My Holiday.png", "paused")).toBe(true);
  expect(isLookedFor.value("My Holiday.png", "done")).toBe(false);
  expect(isLookedFor.value("other.png", "paused")).toBe(false);
});
