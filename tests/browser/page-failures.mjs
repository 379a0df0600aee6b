// What goes wrong: files that are none, and an upload that is taken back.

import { inChromium } from "./chromium.mjs";
import { barriers, drop, names, open, row, shoot, until } from "./page.mjs";

const jobs = (page) => page.evaluate(async () => (await (await fetch("/v1/jobs")).json()).jobs);
const button = (page, name) => page.getByRole("button", { name, exact: true });

await inChromium(
  async (page, input) => {
    const found = {};
    const faults = await open(page, input.url);
    await drop(page, [input.broken]);
    await button(page, "Start: broken.mp4").click();
    await until(page, "broken.mp4", "failed");
    found.reason = await row(page, "broken.mp4").locator(".reason").textContent();
    const [{ changed }] = await jobs(page);
    await button(page, "Retry: broken.mp4").click();
    let again;
    do [again] = await jobs(page);
    while (again.state !== "failed" || again.changed === changed);
    await until(page, "broken.mp4", "failed");

    // What is refused at its first bytes.
    await drop(page, [input.mislabelled]);
    await button(page, "Start: mislabelled.mp4").click();
    await until(page, "mislabelled.mp4", "broken");
    found.refused = await row(page, "mislabelled.mp4").locator(".standing").innerText();
    await button(page, "Remove: mislabelled.mp4").click();
    await row(page, "mislabelled.mp4").waitFor({ state: "detached" });

    // An upload that does not come on is taken back, and can be started again.
    let held;
    await page.route("**/v1/uploads/*", (route) => {
      if (route.request().method() !== "PATCH") return route.continue();
      held = route;
    });
    await drop(page, [input.photo]);
    await button(page, "Start: photo.png").click();
    await until(page, "photo.png", "sending");
    while (held === undefined) await page.waitForTimeout(50);
    await shoot(page, input, "failed");
    found.barriers = await barriers(page);
    found.sending = (await jobs(page)).map(({ state }) => state);
    await button(page, "Cancel: photo.png").click();
    await until(page, "photo.png", "ready");
    while ((await jobs(page)).length > 1) await page.waitForTimeout(50);
    await page.unroute("**/v1/uploads/*");
    await button(page, "Start: photo.png").click();
    await until(page, "photo.png", "done");
    found.names = await names(page);
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, colorScheme: "dark", locale: "en" },
);
