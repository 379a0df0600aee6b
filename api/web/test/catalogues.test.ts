import { expect, test } from "vitest";

import { en } from "../src/text/en";
import { ko } from "../src/text/ko";

const kinds = (catalogue: object) =>
  Object.fromEntries(Object.entries(catalogue).map(([key, said]) => [key, typeof said]));

test("both languages say the same things", () => {
  expect(kinds(ko)).toEqual(kinds(en));
});

test("both languages use all that they are told, and say nothing empty", () => {
  for (const [language, catalogue] of Object.entries({ en, ko })) {
    for (const [key, said] of Object.entries(catalogue)) {
      const words = typeof said === "string" ? said : (said as (...told: unknown[]) => string)(71, 83);
      expect(words.trim(), `${language}.${key}`).not.toBe("");
      expect(words, `${language}.${key}`).not.toMatch(/undefined|=>/);
      const english: unknown = en[key as keyof typeof en];
      const told = typeof english === "function" ? [71, 83].slice(0, english.length) : [];
      for (const value of told) expect(words, `${language}.${key}`).toContain(String(value));
    }
  }
});

test("nothing was left untranslated", () => {
  const same = Object.keys(en).filter((key) => en[key as keyof typeof en] === ko[key as keyof typeof ko]);
  expect(same).toEqual(["documentation"]);
});
