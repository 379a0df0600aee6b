// What `bench` measures of the first view and of the list: on a server that has thousands of jobs.

import { inChromium } from "./chromium.mjs";
import { scrollToEnd } from "./page.mjs";

const SCREEN = { viewport: { width: 1280, height: 800 }, locale: "en" };
/** What a view is made of, as Chromium names it; pictures of jobs are not the page's. */
const PARTS = new Set(["document", "script", "stylesheet"]);

/** The page in a browser that has nothing of it: what is sent for it, and when its list is painted. */
async function firstView(browser, url) {
  const context = await browser.newContext(SCREEN);
  const page = await context.newPage();
  const parts = [];
  page.on("requestfinished", (request) => PARTS.has(request.resourceType()) && parts.push(request.sizes()));
  await page.goto(url);
  await page.locator(".row .name").first().waitFor();
  const seconds = await page.evaluate(painted);
  const sizes = await Promise.all(parts);
  await context.close();
  return { seconds, bytes: sizes.reduce((sum, { responseBodySize }) => sum + responseBodySize, 0) };
}

/** Runs in the page: when the largest thing that is seen was painted, in seconds. */
async function painted() {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  await frame();
  await frame();
  return new Promise((resolve) => {
    new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime / 1000)).observe({
      type: "largest-contentful-paint",
      buffered: true,
    });
  });
}

await inChromium(async (page, { url, views, jobs }) => {
  const found = { views: [] };
  for (let view = 0; view < views; view += 1) found.views.push(await firstView(page.context().browser(), url));
  await page.goto(url);
  await page.locator(".row .name").first().waitFor();
  found.frames = await scrollToEnd(page, jobs);
  return found;
}, SCREEN);
