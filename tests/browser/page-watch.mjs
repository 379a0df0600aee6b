// A film that is watched while it is made: from its begin, from a moment that is far from made, and in all appearances.

import { inChromium } from "./chromium.mjs";
import { barriers, drop, open, row, shoot, until } from "./page.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });
const player = (page, doing) => page.locator(`.player[data-doing="${doing}"]`);

/** How the video stands. */
const video = (page) =>
  page.locator(".player video").evaluate(({ currentTime, videoWidth, videoHeight }) => {
    return { moment: currentTime, size: [videoWidth, videoHeight] };
  });

/** Waits until the video has come this far, in seconds. */
const reaches = (page, moment) =>
  page.waitForFunction((moment) => document.querySelector(".player video").currentTime > moment, moment, {
    timeout: 60_000,
  });

const job = async (page, { url }) => (await (await page.request.get(`${url}/v1/jobs`)).json()).jobs[0];

/** Whether a part is among finished runs. */
const holds = (finished, part) => finished.some(([from, to]) => from <= part && part < to);

/** Waits until a part is waited for, and it is known how long it is until all plays: where the video is, and what is said. */
const shortage = (page) =>
  page
    .waitForFunction(() => {
      const player = document.querySelector(".player[data-doing='making']");
      const wait = player?.querySelector(".outlook [data-wait]");
      if (!wait) return null;
      return {
        moment: player.querySelector("video").currentTime,
        said: player.querySelector(".shortage").innerText,
        waits: Number(wait.dataset.wait),
      };
    })
    .then((found) => found.jsonValue());

/** How long the last part, and with it all of a film, still has to be made beyond the time at which it is played. */
const untilItPlays = ({ done, total, frames_per_second: pace }, moment, { end, parts }) =>
  (total - done) / pace - (end * (1 - 1 / parts) - moment);

/** A shortage, and how long it is indeed until all plays. The page has heard of the pace a moment ago: it is given five seconds. */
async function truth(page, input) {
  const since = performance.now();
  for (;;) {
    const found = await shortage(page);
    const expected = untilItPlays((await job(page, input)).progress, found.moment, input);
    if (Math.abs(found.waits - expected) < input.near || performance.now() - since > 5_000) return { ...found, expected };
  }
}

const runs = (page) =>
  page.locator(".track i[data-run]").evaluateAll((runs) => runs.map(({ dataset }) => dataset.run.split("-").map(Number)));

/** How often parts are asked for of which the server says that they are not there yet; then the connection breaks. */
async function refuseFirst(page, parts) {
  const asked = {};
  await page.route(/\/stream\/0\//, (route) => {
    const name = route.request().url().split("/").at(-1);
    if (!parts.includes(name)) return route.continue();
    asked[name] = (asked[name] ?? 0) + 1;
    if (asked[name] === 1) return route.fulfill({ status: 503, headers: { "retry-after": "1" } });
    return asked[name] === 2 ? route.abort("connectionreset") : route.continue();
  });
  return asked;
}

await inChromium(
  async (page, input) => {
    const found = { barriers: {} };
    const faults = await open(page, input.url);
    const asked = await refuseFirst(page, ["init.mp4", "1.m4s"]);
    const scripts = [];
    page.on("request", (request) => scripts.push(new URL(request.url()).pathname));
    const loadsPlayer = () => scripts.some((path) => /^\/assets\/hls-/.test(path));
    await drop(page, [input.film]);
    await button(page, "Start: film.mp4").click();
    await until(page, "film.mp4", "running");
    await button(page, "Watch: film.mp4").waitFor();
    found.early = loadsPlayer();
    await button(page, "Watch: film.mp4").click();
    await reaches(page, 0.1);
    found.late = loadsPlayer();
    found.size = (await video(page)).size;

    // The fleet is slower than the film: what comes next is waited for, and then plays on.
    const { moment, ...said } = await truth(page, input);
    Object.assign(found, said);
    found.barriers.light = await barriers(page);
    await shoot(page, input, "watch");
    // Into the second part at least.
    await reaches(page, Math.max(moment + 0.3, 0.6));
    found.asked = { ...asked };

    await page.getByRole("slider", { name: "Moment" }).fill(String(input.jump));
    await page.locator(`.player[data-doing="making"][data-part="${input.part}"]`).waitFor();
    await reaches(page, input.jump + 0.1);
    await page.keyboard.press(" ");
    await player(page, "paused").waitFor();
    const jumped = await job(page, input);
    found.jumped = { state: jumped.state, ...jumped.progress };
    found.isThere = holds(jumped.progress.finished, input.part);
    await page.emulateMedia({ colorScheme: "dark" });
    await shoot(page, input, "watch-dark");
    found.barriers.dark = await barriers(page);
    await page.setViewportSize({ width: 390, height: 844 });
    await shoot(page, input, "phone-watch-dark");
    await page.emulateMedia({ colorScheme: "light" });
    await shoot(page, input, "phone-watch");
    found.width = await page.evaluate(() => document.documentElement.scrollWidth);
    await page.setViewportSize({ width: 1280, height: 800 });

    const before = (await video(page)).moment;
    await page.keyboard.press("ArrowLeft");
    found.stepped = before - (await video(page)).moment;
    await button(page, "Mute").click();
    await button(page, "Unmute").waitFor();
    found.runs = await runs(page);
    await button(page, "Close").click();
    // Of the cells in the row, those of the parts that are there are full.
    found.cells = await row(page, "film.mp4")
      .locator(".strip i")
      .evaluateAll((cells) => cells.map(({ style }) => style.opacity === "1"));

    await button(page, "Watch: film.mp4").click();
    await reaches(page, 0.1);
    await page.getByRole("slider", { name: "Moment" }).fill(String(input.end - 0.3));
    await player(page, "ended").waitFor();
    found.ended = (await video(page)).moment;
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, colorScheme: "light", locale: "en" },
);
