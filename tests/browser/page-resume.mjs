// An upload that goes on: after the server was killed, and after the page was left.

import { inChromium } from "./chromium.mjs";
import { drop, open, row, shoot, until } from "./page.mjs";
import { relay } from "./relay.mjs";

/** Bytes a second that go up at most, so that there is a middle. */
const PACE = 4_000_000;

const jobs = async (page, url) => (await (await page.request.get(`${url}/v1/jobs`)).json()).jobs;

/** Waits until some of the newest upload is at the server. */
async function underWay(page, url) {
  for (;;) {
    const [job] = await jobs(page, url);
    if (job?.state === "uploading" && job.source.received > 0) return;
    await page.waitForTimeout(50);
  }
}

await inChromium(
  async (page, input) => {
    const found = {};
    const url = await relay(input.portFile);
    const network = await page.context().newCDPSession(page);
    const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: PACE };
    await network.send("Network.emulateNetworkConditions", slow);
    const faults = await open(page, url);

    // The test kills the server meanwhile, and starts it again.
    await drop(page, [input.film]);
    await page.getByRole("button", { name: "Start: film.mp4" }).click();
    await page.locator(".banner").waitFor();
    await until(page, "film.mp4", "done");
    await page.locator(".banner").waitFor({ state: "detached" });
    found.afterKill = await jobs(page, url);

    await drop(page, [input.other]);
    await page.getByRole("button", { name: "Start: other.mp4" }).click();
    await underWay(page, url);
    await shoot(page, input, "uploading");
    await page.reload();
    await until(page, "other.mp4", "uploading");
    found.hint = await row(page, "other.mp4").locator(".reason").textContent();
    found.begun = (await jobs(page, url))[0].source.received;
    await drop(page, [input.other]);
    await until(page, "other.mp4", "done");
    found.afterReload = await jobs(page, url);
    return { ...found, faults };
  },
  { locale: "en", viewport: { width: 1280, height: 800 } },
);
