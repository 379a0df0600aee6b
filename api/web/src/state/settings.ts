import type { Settings } from "../net/types";
import { recall, remember } from "./memory";

const USUAL: Settings = { target: "2" };

/** What files that are added begin with: what was chosen last. */
export function initialSettings(): Settings {
  try {
    return { ...USUAL, ...JSON.parse(recall("settings") ?? "{}") };
  } catch {
    return USUAL;
  }
}

export function keepSettings(settings: Settings): void {
  remember("settings", JSON.stringify(settings));
}

/** Without what follows from the source: what the API is sent. */
export function said(settings: Settings): Settings {
  const entries = Object.entries(settings).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return Object.fromEntries(entries) as unknown as Settings;
}

/** How large, as people write it: `×2` or `1920×1080`. */
export function shownTarget(target: string): string {
  return target.includes("x") ? target.replace("x", "×") : `×${target}`;
}
