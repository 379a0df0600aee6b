// Chromium, as the scripts of this folder drive it.

import { text } from "node:stream/consumers";

import { chromium } from "playwright-core";

const FLAGS = [
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // No name but this machine's means anything to it.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

const LOCAL = /^(?:about:|blob:|data:|http:\/\/127\.0\.0\.1[:/])/;

/**
 * Runs `script(page, input)` on an empty page of a Chromium of its own: `input` is the JSON of standard input, and what the
 * script gives goes to standard output as JSON. Throws where the script does, and where a page asked another host than
 * 127.0.0.1 for anything.
 *
 * @param {(page: import("playwright-core").Page, input: any) => Promise<unknown>} script
 * @param {import("playwright-core").BrowserContextOptions} [options] language, colour scheme, size of the screen
 */
export async function inChromium(script, options) {
  const input = JSON.parse(await text(process.stdin));
  const browser = await chromium.launch({ executablePath: process.env.CLEARFLEET_CHROMIUM, args: FLAGS });
  try {
    const context = await browser.newContext(options);
    const strangers = [];
    context.on("request", (request) => LOCAL.test(request.url()) || strangers.push(request.url()));
    const found = await script(await context.newPage(), input);
    if (strangers.length > 0) {
      throw new Error(`other hosts were asked: ${strangers.join(" ")}`);
    }
    process.stdout.write(JSON.stringify(found ?? null));
  } finally {
    await browser.close();
  }
}
