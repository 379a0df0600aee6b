// Files through the page: dropped, set, started, watched, paused, compared, downloaded, deleted.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { inChromium } from "./chromium.mjs";
import { barriers, drop, names, open, row, shoot, until } from "./page.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });

async function download(page, name) {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    button(page, `Download: ${name}`).click(),
  ]);
  const bytes = await readFile(await download.path());
  return { name: download.suggestedFilename(), sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** How the comparison stands: where the divider is, and how large each picture is shown. */
const comparison = (page) =>
  page.locator(".compare").evaluate((dialog) => {
    const widths = [...dialog.querySelectorAll(".picture")].map((picture) => picture.getBoundingClientRect().width);
    return { clip: dialog.querySelector(".above").style.clipPath, widths: widths.map(Math.round) };
  });

/** The mean of all samples of both sides of a pair. */
const means = (page) =>
  page.locator(".compare canvas").evaluateAll((canvases) =>
    canvases.map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.reduce((sum, sample) => sum + sample, 0) / data.length;
    }),
  );

await inChromium(
  async (page, input) => {
    const found = { barriers: {} };
    const faults = await open(page, input.url);
    await page.getByRole("heading", { name: "Drop photos and videos here" }).waitFor();
    found.barriers.empty = await barriers(page);
    await shoot(page, input, "empty");

    await drop(page, [...input.files, { name: "notes.txt", type: "text/plain", base64: "aGVsbG8=" }]);
    found.refusal = await page.locator(".notice").textContent();
    found.added = await names(page);
    await row(page, "photo.png").locator(".thumbnail img").waitFor();

    await row(page, "photo.png").locator(".chip").click();
    found.barriers.settings = await barriers(page);
    await shoot(page, input, "settings");
    await page.getByText("×3", { exact: true }).click();
    await button(page, "Save").click();
    found.wish = await row(page, "photo.png").locator(".chip").textContent();

    await button(page, "Start upload").click();
    await until(page, "film.mp4", "running");
    await page.locator(".strip i[style*='opacity: 1']").first().waitFor();
    found.cells = await row(page, "film.mp4").locator(".strip i").count();
    await shoot(page, input, "running");
    await button(page, "Pause: film.mp4").click();
    await until(page, "film.mp4", "paused");
    found.barriers.paused = await barriers(page);

    await button(page, "Compare: film.mp4").click();
    await page.getByText("Frames", { exact: true }).click();
    await page.locator(".compare canvas").first().waitFor();
    found.means = await means(page);
    await page.keyboard.press("Escape");
    await button(page, "Resume: film.mp4").click();
    await until(page, "film.mp4", "done");
    await until(page, "photo.png", "done");
    found.announced = await page.locator("output.unseen").textContent();
    found.downloads = [await download(page, "film.mp4"), await download(page, "photo.png")];

    await button(page, "Compare: photo.png").click();
    await page.locator(".compare img").nth(1).evaluate((image) => image.decode());
    const whole = await comparison(page);
    found.barriers.compare = await barriers(page);
    await shoot(page, input, "compare");
    await button(page, "Zoom in").click();
    await page.getByRole("slider", { name: /^Where before ends/ }).press("ArrowLeft");
    await page.locator(".above[style*='49%']").waitFor();
    await page.waitForTimeout(400); // its movement
    found.compared = { whole, closer: await comparison(page) };
    await button(page, "Close").click();

    const { jobs } = await (await page.request.get(`${input.url}/v1/jobs`)).json();
    const results = jobs.map(({ result: { name, sha256 } }) => ({ name, sha256 }));
    found.results = results.sort((one, other) => one.name.localeCompare(other.name));
    await row(page, "photo.png").locator(".chip").click();
    await page.getByText("×4", { exact: true }).click();
    await button(page, "Do it again").click();
    await row(page, "photo.png").getByText("24×16 → 96×64").waitFor();
    await until(page, "photo.png", "done");
    found.redone = (await download(page, "photo.png")).name;

    await button(page, "Delete: film.mp4").click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await row(page, "film.mp4").waitFor({ state: "detached" });
    found.left = await names(page);
    return { ...found, faults };
  },
  { viewport: { width: 1280, height: 800 }, colorScheme: "light", locale: "en-GB" },
);
