// Source and result of a film that play as one, while it is made and afterwards.

import { inChromium } from "./chromium.mjs";
import { barriers, drop, open, shoot, until } from "./page.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Waits until both videos stand and show something. */
const bothStand = (page) =>
  page.waitForFunction(() => {
    const videos = [...document.querySelectorAll(".compare video")];
    return videos.length === 2 && videos.every((video) => video.paused && !video.seeking && video.readyState > 1);
  });

/**
 * How large both videos are, and how unlike each other: the mean difference of their samples, of 255, where the source is a
 * frame earlier, as it is, and a frame later.
 */
const sides = (page) =>
  page.locator(".compare video").evaluateAll(async (videos) => {
    const [before, after] = videos;
    const look = (video) => {
      const canvas = new OffscreenCanvas(160, 90).getContext("2d");
      canvas.drawImage(video, 0, 0, 160, 90);
      return canvas.getImageData(0, 0, 160, 90).data;
    };
    const result = look(after);
    const own = before.currentTime;
    const differences = [];
    for (const moment of [own - 0.04, own, own + 0.04]) {
      const presented = new Promise((resolve) => before.requestVideoFrameCallback(resolve));
      before.currentTime = moment;
      await presented;
      const sum = look(before).reduce((sum, sample, at) => sum + Math.abs(sample - result[at]), 0);
      differences.push(sum / result.length);
    }
    return { widths: videos.map(({ videoWidth }) => videoWidth), differences };
  });

/** Moves the source by some seconds as both play; how far apart they are then and at each frame from then on, in seconds. */
const apart = (page, seconds) =>
  page.evaluate(async (seconds) => {
    const [before, after] = document.querySelectorAll(".compare video");
    const frame = () => new Promise((resolve) => after.requestVideoFrameCallback(resolve));
    await frame();
    before.currentTime += seconds;
    const distances = [];
    const measure = () => distances.push(Math.abs(before.currentTime - after.currentTime));
    measure();
    while (distances.length < 50) {
      await frame();
      measure();
    }
    return distances;
  }, seconds);

async function jump(page, moment) {
  await page.getByRole("slider", { name: "Moment" }).fill(String(moment));
  await page.waitForFunction(
    (moment) => Math.abs(document.querySelectorAll(".compare video")[1].currentTime - moment) < 0.01,
    moment,
  );
  await bothStand(page);
  return sides(page);
}

await inChromium(
  async (page, input) => {
    const found = {};
    const faults = await open(page, input.url);
    await drop(page, [input.film]);
    await button(page, "Start: film.mp4").click();
    await page.locator(".strip i[style*='opacity: 1']").first().waitFor();
    await button(page, "Compare: film.mp4").click();
    await bothStand(page);
    found.early = await jump(page, input.early);
    found.state = await page.locator(".row").getAttribute("data-phase");
    await button(page, "Close").click();

    await until(page, "film.mp4", "done");
    await button(page, "Compare: film.mp4").click();
    await bothStand(page);
    await button(page, "Play").click();
    found.apart = [await apart(page, 0.2), await apart(page, 1)];
    await button(page, "Pause").click();
    await bothStand(page);
    found.late = await jump(page, input.late);
    found.barriers = await barriers(page);
    await shoot(page, input, "compare-videos");
    await page.getByText("Frames", { exact: true }).click();
    await page.locator(".compare canvas").first().waitFor();
    found.canvases = await page.locator(".compare canvas").count();
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "en" },
);
