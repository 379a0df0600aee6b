// What goes wrong: a file that is none, an upload that is taken back, a connection that is lost.

import { inChromium } from "./chromium.mjs";
import { barriers, drop, names, open, row, shoot, until } from "./page.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });

await inChromium(
  async (page, input) => {
    const found = {};
    const faults = await open(page, input.url);
    await drop(page, [input.broken]);
    await button(page, "Start: broken.mp4").click();
    await until(page, "broken.mp4", "failed");
    found.reason = await row(page, "broken.mp4").locator(".reason").textContent();
    const before = await (await page.request.get(`${input.url}/v1/jobs`)).json();
    await button(page, "Retry: broken.mp4").click();
    await page.waitForFunction(
      async (changed) => {
        const [job] = (await (await fetch("/v1/jobs")).json()).jobs;
        return job.state === "failed" && job.changed !== changed;
      },
      before.jobs[0].changed,
      { polling: 200 },
    );
    await until(page, "broken.mp4", "failed");

    // An upload that never ends is taken back, and can be started again.
    let held;
    await page.route("**/v1/jobs", (route) => {
      if (route.request().method() !== "POST") return route.continue();
      held = route;
    });
    await drop(page, [input.photo]);
    await button(page, "Start: photo.png").click();
    await until(page, "photo.png", "sending");
    await shoot(page, input, "failed");
    found.barriers = await barriers(page);
    await button(page, "Cancel: photo.png").click();
    await until(page, "photo.png", "ready");
    found.sentMeanwhile = (await (await page.request.get(`${input.url}/v1/jobs`)).json()).jobs.length;
    await held.abort().catch(() => undefined);

    // A server that is away for longer than is waited for.
    await page.unroute("**/v1/jobs");
    await page.route("**/v1/jobs", (route) =>
      route.request().method() === "POST" ? route.abort("connectionreset") : route.continue(),
    );
    await button(page, "Start: photo.png").click();
    await until(page, "photo.png", "broken");
    found.lost = await row(page, "photo.png").locator(".reason").textContent();
    await page.unroute("**/v1/jobs");
    await button(page, "Retry: photo.png").click();
    await until(page, "photo.png", "done");
    found.names = await names(page);
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "en" },
);
