// What `bench` measures of watching a film that a fleet has only begun.

import { inChromium } from "./chromium.mjs";

/** Waits until the video moves at or after a moment; when it did, in seconds. */
async function plays(page, moment) {
  const moves = (from) => {
    const { currentTime, seeking, paused } = document.querySelector(".player video") ?? {};
    return !seeking && !paused && currentTime > from;
  };
  await page.waitForFunction(moves, moment + 0.1, { timeout: 300_000 });
  return performance.now() / 1000;
}

/** When the first part was there at the latest: it is counted, or was sent. */
async function firstPart(page, { url, job }) {
  const sent = page.waitForResponse((response) => response.url().endsWith(".m4s") && response.ok(), { timeout: 300_000 });
  let isSent = false;
  sent.then(() => {
    isSent = true;
  });
  const isCounted = async () => (await (await page.request.get(`${url}/v1/jobs/${job}`)).json()).progress.batches_done > 0;
  while (!isSent && !(await isCounted()));
  return performance.now() / 1000;
}

/** Looks on for so many seconds: how often the video stood still, and for how long together. */
const stood = (page, seconds) =>
  page.evaluate(
    (seconds) =>
      new Promise((resolve) => {
        const video = document.querySelector(".player video");
        const [since, from] = [performance.now() / 1000, video.currentTime];
        let stalls = 0;
        video.addEventListener("waiting", () => {
          stalls += 1;
        });
        const look = () => {
          const watched = performance.now() / 1000 - since;
          resolve({ stalls, stood: watched - (video.currentTime - from) });
        };
        setTimeout(look, seconds * 1000);
      }),
    seconds,
  );

/** Jumps to where nothing is made yet; seconds until it plays there. */
async function jump(page, moment) {
  const since = performance.now() / 1000;
  await page.getByRole("slider", { name: "Moment" }).fill(String(moment));
  await page.locator('.player[data-doing="making"]').waitFor();
  return (await plays(page, moment)) - since;
}

await inChromium(
  async (page, input) => {
    await page.goto(input.url);
    await page.getByRole("button", { name: /^Watch: / }).click({ timeout: 120_000 });
    const [made, began] = await Promise.all([firstPart(page, input), plays(page, 0)]);
    const found = { starts: began - made, jumps: [] };
    if (input.seconds !== undefined) Object.assign(found, await stood(page, input.seconds));
    const { plan } = await (await page.request.get(`${input.url}/v1/jobs/${input.job}`)).json();
    for (const share of input.jumps ?? []) found.jumps.push(await jump(page, share * plan.seconds));
    return found;
  },
  { viewport: { width: 1280, height: 800 }, locale: "en" },
);
