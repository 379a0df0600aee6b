import { computed, signal } from "@preact/signals";

import { recall, remember } from "../state/memory";
import { type Catalogue, en } from "./en";
import { ko } from "./ko";

/** The languages, by their tags. */
export const catalogues = { en, ko } satisfies Record<string, Catalogue>;

export type Language = keyof typeof catalogues;

function isLanguage(tag: string | undefined): tag is Language {
  return tag !== undefined && tag in catalogues;
}

/** The first of a browser's languages that the page speaks. */
export function preferred(tags: readonly string[]): Language {
  return tags.map((tag) => tag.toLowerCase().split("-")[0]).find(isLanguage) ?? "en";
}

const chosen = recall("language");

/** The language that the page speaks. */
export const language = signal<Language>(isLanguage(chosen) ? chosen : preferred(navigator.languages));

/** What the page says in it. */
export const text = computed<Catalogue>(() => catalogues[language.value]);

/** Speaks another language from now on, and on the next visit. */
export function speak(chosen: Language): void {
  language.value = chosen;
  remember("language", chosen);
}
