// Thousands of jobs, which the script makes up.

import { inChromium } from "./chromium.mjs";
import { open, scrollToEnd, shoot, until } from "./page.mjs";

const JOBS = 2_000;

function job(number) {
  const time = new Date(Date.UTC(2026, 0, 1) - number * 60_000).toISOString();
  return {
    id: `00000000-0000-7000-8000-${String(number).padStart(12, "0")}`,
    name: `holiday-${number}.png`,
    kind: "picture",
    preview_of: null,
    state: number % 7 === 0 ? "failed" : "done",
    created: time,
    changed: time,
    ended: time,
    settings: { target: "2" },
    source: { bytes: 1_000 * (number + 1), content_type: "image/png" },
    progress: { done: 1, total: 1, batches_done: 0, batches: 0, finished: [] },
    plan: null,
    result: null,
    failure: null,
    notes: [],
    links: { source: null, stream: null, result: null },
  };
}

async function answer(route) {
  const query = new URL(route.request().url()).searchParams;
  const [from, limit] = [Number(query.get("cursor") ?? 0), Number(query.get("limit"))];
  const all = Array.from({ length: JOBS }, (_, number) => job(number));
  const states = query.get("state")?.split(",");
  const matching = all.filter(({ name, state }) => name.includes(query.get("q") ?? "") && (states?.includes(state) ?? true));
  const next = from + limit < matching.length ? String(from + limit) : null;
  await route.fulfill({ json: { jobs: matching.slice(from, from + limit), next } });
}

await inChromium(
  async (page, input) => {
    await page.route("**/v1/jobs?*", answer);
    const faults = await open(page, input.url);
    await until(page, "holiday-1.png", "done");
    await shoot(page, input, "many");
    await scrollToEnd(page, JOBS);
    const found = {
      rows: await page.locator(".row").count(),
      last: await page.locator(".row .name").last().textContent(),
    };
    await page.evaluate(() => scrollTo(0, 0));
    await page.getByText("Failed", { exact: true }).first().click();
    await page.getByRole("searchbox").fill("199");
    await until(page, "holiday-1995.png", "failed");
    found.found = await page.locator(".row .name").allTextContents();
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, locale: "en" },
);
