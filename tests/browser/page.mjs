// The page of the server, as the scripts of this folder use it.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** @typedef {{ name: string, type: string, base64: string }} File a file that is dropped */

/** Opens the page, and has whatever goes wrong in its scripts fail the test. */
export async function open(page, url) {
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.stack ?? error.message));
  // What the policy refuses is said there, too.
  page.on("console", (message) => message.text().includes("Content Security Policy") && faults.push(message.text()));
  await page.goto(url);
  return faults;
}

/** Files in the hands of somebody who uses the page. @param {File[]} files */
const held = (page, files) =>
  page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const { name, type, base64 } of files) {
      const bytes = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
      transfer.items.add(new File([bytes], name, { type, lastModified: 1 }));
    }
    return transfer;
  }, files);

/** Drops files on the page. @param {File[]} files */
export async function drop(page, files) {
  const transfer = await held(page, files);
  await page.dispatchEvent("body", "dragover", { dataTransfer: transfer });
  await page.locator(".drop").waitFor();
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
}

/** Pastes files into the page. @param {File[]} files */
export async function paste(page, files) {
  const transfer = await held(page, files);
  await page.evaluate((clipboardData) => document.dispatchEvent(new ClipboardEvent("paste", { clipboardData })), transfer);
}

export const row = (page, name) => page.locator(`.row[data-name="${name}"]`);

/** Waits until the row of a file is in a phase. */
export const until = (page, name, phase) =>
  page.locator(`.row[data-name="${name}"][data-phase="${phase}"]`).waitFor({ timeout: 90_000 });

export const names = (page) => page.locator(".row .name").allTextContents();

/** What axe finds that is serious or worse: nothing, where all can use the page. */
export async function barriers(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

/** Takes a picture of the page, for people, into the folder that the test names. */
export const shoot = (page, { pictures }, name) => page.screenshot({ path: join(pictures, `${name}.png`) });

/**
 * Scrolls through a list of so many rows, a good part of a screen with every frame.
 *
 * @returns {Promise<number[]>} how long each frame took, in milliseconds
 */
export const scrollToEnd = (page, count) =>
  page.evaluate(async (count) => {
    const times = [];
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const isLast = (row) => row.ariaPosInSet === String(count) && row.getBoundingClientRect().bottom <= innerHeight;
    let last = await frame();
    while (![...document.querySelectorAll("[aria-posinset]")].some(isLast)) {
      scrollBy(0, 600);
      const now = await frame();
      times.push(now - last);
      last = now;
    }
    return times;
  }, count);
