// A film that waits is previewed: a frame at a chosen moment, and five seconds from it, with what all of it costs.

import { inChromium } from "./chromium.mjs";
import { barriers, names, open, shoot, until } from "./page.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });

/** The preview that is shown: how large, how long, and whether it moves. */
const shown = (page, kind) =>
  page.locator(`.preview .stage .above ${kind}`).evaluate((element) => {
    if (element instanceof HTMLImageElement) return { size: [element.naturalWidth, element.naturalHeight] };
    return { size: [element.videoWidth, element.videoHeight], seconds: element.duration };
  });

/** How unlike the sides of a preview are: the mean difference of their samples, of 255. */
const difference = (page) =>
  page.evaluate(() => {
    const look = (element) => {
      const canvas = new OffscreenCanvas(160, 90).getContext("2d");
      canvas.drawImage(element, 0, 0, 160, 90);
      return canvas.getImageData(0, 0, 160, 90).data;
    };
    const [before, after] = [...document.querySelectorAll(".preview .picture > *")].map(look);
    return before.reduce((sum, sample, at) => sum + Math.abs(sample - after[at]), 0) / before.length;
  });

await inChromium(
  async (page, input) => {
    const found = {};
    const faults = await open(page, input.url);
    await until(page, "film.mp4", "paused");
    await button(page, "Preview: film.mp4").click();
    await page.waitForFunction(() => document.querySelector(".preview video")?.readyState > 1);
    await page.getByRole("slider", { name: "Moment" }).fill(String(input.at));
    await page.waitForFunction(() => !document.querySelector(".preview video").seeking);
    await button(page, "One frame").click();
    await page.locator(".preview .stage img").evaluate((image) => image.decode());
    found.frame = await shown(page, "img");
    await page.waitForFunction(() => document.querySelector(".preview .stage video").readyState > 1);
    found.difference = await difference(page);
    await page.locator(".costs span").first().waitFor();
    found.ofFrame = await page.locator(".costs").innerText();
    await shoot(page, input, "preview");
    found.barriers = await barriers(page);

    await button(page, "Five seconds").click();
    await page.waitForFunction(() => document.querySelector(".preview .above video")?.currentTime > 0.2);
    found.seconds = await shown(page, "video");
    await page.locator(".costs span").nth(1).waitFor();
    found.ofSeconds = await page.locator(".costs span").allTextContents();
    await button(page, "Close").click();
    found.names = await names(page);
    await until(page, "film.mp4", "paused");
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, colorScheme: "light", locale: "en" },
);
