import { expect, test, vi } from "vitest";

import type { Job } from "../src/net/types";
import { costOf } from "../src/state/previews";

// Node 20 has none.
vi.hoisted(() => vi.stubGlobal("navigator", { languages: ["en"] }));

/** Five seconds at 25 frames a second, of 640×360. */
const preview = (content_type: string) =>
  ({
    plan: { frames: 125, seconds: 5, source_size: [320, 180], target_size: [640, 360] },
    result: { bytes: 1_000_000, content_type },
  }) as Job;

const asked: string[] = [];
vi.stubGlobal("fetch", async (address: string) => {
  asked.push(address);
  return new Response(JSON.stringify({ seconds: 90 }));
});

test("a minute costs twelve times of what five seconds do", async () => {
  expect(await costOf(preview("video/mp4"), 60)).toEqual({ seconds: 90, bytes: 12_000_000 });
  expect(asked.at(-1)).toBe("/v1/estimate?width=640&height=360&frames=1500&target=1");
});

test("of a picture no size follows", async () => {
  expect(await costOf(preview("image/png"), 60)).toEqual({ seconds: 90 });
});

test("what is not done yet tells nothing", async () => {
  expect(await costOf({ ...preview("video/mp4"), result: null }, 60)).toEqual({});
});
