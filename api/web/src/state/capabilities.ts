import { signal } from "@preact/signals";

import { ask } from "../net/ask";
import type { Capabilities } from "../net/types";

interface Known {
  formats: Capabilities["formats"];
  codecs: string[];
  limits: { bytes: number };
  /** What names of sources end with. */
  extensions: ReadonlySet<string>;
}

/** What the server takes and makes. */
export const capabilities = signal<Known>({
  formats: [],
  codecs: [],
  limits: { bytes: Number.POSITIVE_INFINITY },
  extensions: new Set(),
});

/** Asks the server what it takes and makes. */
export async function askCapabilities(): Promise<void> {
  const { formats, codecs, limits, sources } = await ask<Capabilities>("GET", "/v1/capabilities");
  const extensions = new Set(sources.flatMap((source) => source.extensions));
  capabilities.value = { formats, codecs, limits, extensions };
}
