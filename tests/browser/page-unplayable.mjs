// Films whose results no browser, or not every one, plays while they are made: the comparison is there, and says why.

import { inChromium } from "./chromium.mjs";
import { open, until } from "./page.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });

await inChromium(
  async (page, input) => {
    const found = { shown: {} };
    const faults = await open(page, input.url);
    found.playsHevc = await page.evaluate(() => MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L120.B0"'));
    for (const name of input.names) {
      await until(page, name, "done");
      await button(page, `Watch: ${name}`).click();
      const shown = page.locator(".compare canvas, .player[data-doing='playing']").first();
      await shown.waitFor({ timeout: 60_000 });
      found.shown[name] = (await page.locator(".compare .banner").allTextContents()).join();
      await button(page, "Close").click();
    }
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, locale: "en" },
);
