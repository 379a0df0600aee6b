import { effect, signal } from "@preact/signals";

import { recall, remember } from "./memory";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const recalled = THEMES.find((theme) => theme === recall("theme"));

export const theme = signal<Theme>(recalled ?? "system");

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  remember("theme", theme.value);
});
