// The page in Korean and in English, by day and by night, on a phone.

import { inChromium } from "./chromium.mjs";
import { barriers, open, paste, row, shoot, until } from "./page.mjs";

const PAPER = (page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

await inChromium(
  async (page, input) => {
    const found = { barriers: {} };
    const faults = await open(page, input.url);
    await page.getByRole("heading", { name: "사진과 동영상을 여기에 놓으세요" }).waitFor();
    found.language = await page.evaluate(() => document.documentElement.lang);
    await shoot(page, input, "phone-empty");
    await paste(page, [input.photo]);
    await page.getByRole("button", { name: "업로드 시작" }).click();
    await until(page, "photo.png", "done");
    found.done = await row(page, "photo.png").locator(".words strong").textContent();
    found.barriers.night = await barriers(page);
    found.night = await PAPER(page);
    // Nothing is wider than the screen.
    found.width = await page.evaluate(() => document.documentElement.scrollWidth);
    await shoot(page, input, "phone-done");

    await page.getByRole("combobox", { name: "화면 모드" }).selectOption("light");
    found.day = await PAPER(page);
    await page.getByRole("combobox", { name: "언어" }).selectOption("en");
    await page.reload();
    await until(page, "photo.png", "done");
    found.remembered = await page.evaluate(() => document.documentElement.lang);
    found.stillDay = await PAPER(page);
    found.barriers.day = await barriers(page);
    return { ...found, faults };
  },
  { viewport: { width: 390, height: 844 }, colorScheme: "dark", locale: "ko-KR" },
);
