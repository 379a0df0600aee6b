import { beforeEach, expect, test, vi } from "vitest";

import { language, preferred } from "../src/text";
import { bytes, clock, duration, percent, rate, tongue } from "../src/text/format";
import { fills } from "../src/view/strip";

// Node 20 has none.
vi.hoisted(() => vi.stubGlobal("navigator", { languages: ["en"] }));

beforeEach(() => {
  language.value = "en";
});

test.each([
  [0, "0 kB"],
  [859, "0.9 kB"],
  [1_000, "1 kB"],
  [58_600, "58.6 kB"],
  [999_949, "1,000 kB"],
  [1_234_567_890, "1.2 GB"],
  [5e15, "5,000 TB"],
])("%d bytes are %s", (count, shown) => {
  expect(bytes(count)).toBe(shown);
});

test.each([
  [0, "1 sec"],
  [59.4, "59 sec"],
  [59.6, "1 min"],
  [3_570, "1 hr"],
  [5_400, "1 hr 30 min"],
  [200_000, "56 hr"],
])("%d seconds are %s", (seconds, shown) => {
  expect(duration(seconds)).toBe(shown);
});

test.each([
  [0, "0:00"],
  [59.99, "0:59"],
  [605, "10:05"],
  [3_600, "1:00:00"],
  [36_125, "10:02:05"],
])("a player at %d seconds shows %s", (seconds, shown) => {
  expect(clock(seconds)).toBe(shown);
});

test("numbers follow the language", () => {
  language.value = "ko";
  expect([bytes(1_500_000), duration(90), rate(8.34)]).toEqual(["1.5MB", "2분", "8.3"]);
});

test("not all is never 100%", () => {
  expect([percent(0.9999), percent(1), percent(-1)]).toEqual(["99%", "100%", "0%"]);
});

test.each([
  [["ko-KR", "en"], "ko"],
  [["de", "EN-us"], "en"],
  [["fr", "de"], "en"],
  [[], "en"],
])("a browser of %j reads %s", (tags, chosen) => {
  expect(preferred(tags as string[])).toBe(chosen);
});

test("cells show which batches are finished, however many there are", () => {
  expect(fills([[1, 2]], 3)).toEqual([0, 1, 0]);
  for (const batches of [1, 2, 47, 48, 49, 1000, 12_345]) {
    for (const done of [0, 1, Math.floor(batches / 2), batches]) {
      const cells = fills([[batches - done, batches]], batches);
      expect(cells.length).toBe(Math.min(batches, 48));
      const sum = cells.reduce((sum, fill) => sum + fill, 0);
      expect(sum / cells.length).toBeCloseTo(done / batches, 9);
      expect(cells).toEqual([...cells].sort((a, b) => a - b));
    }
  }
});

test("languages are called as people call them", () => {
  expect(["kor", "pt-BR", "no tag"].map(tongue)).toEqual(["Korean", "Brazilian Portuguese", "no tag"]);
  language.value = "ko";
  expect(tongue("kor")).toBe("한국어");
});
