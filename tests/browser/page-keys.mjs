// A server that wants keys.

import { inChromium } from "./chromium.mjs";
import { barriers, open, shoot } from "./page.mjs";

await inChromium(
  async (page, input) => {
    const found = {};
    const faults = await open(page, input.url);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    found.barriers = await barriers(page);
    await shoot(page, input, "sign-in");
    const key = page.getByLabel("Key");
    await key.fill("cf_not-a-key-of-this-server-but-long-enough");
    await key.press("Enter");
    found.refused = await page.getByRole("alert").filter({ hasText: /./ }).textContent();
    await key.fill(input.key);
    await key.press("Enter");
    await page.getByRole("heading", { name: "Drop photos and videos here" }).waitFor();
    const [cookie] = await page.context().cookies(`${input.url}/v1/jobs`);
    found.cookie = { httpOnly: cookie.httpOnly, sameSite: cookie.sameSite, path: cookie.path };
    found.script = await page.evaluate(() => document.cookie);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    found.cookies = await page.context().cookies();
    return { ...found, faults };
  },
  { locale: "en" },
);
