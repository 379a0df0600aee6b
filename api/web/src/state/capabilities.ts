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

/** What every server reads. */
const USUAL =
  "gif png apng jpg jpeg jpe jfif bmp dib webp tif tiff mp4 m4v mkv wmv mov webm avi ts m2ts mts mpg mpeg flv ogv 3gp y4m";

/** What the server takes and makes. */
export const capabilities = signal<Known>({
  formats: [],
  codecs: [],
  limits: { bytes: Number.POSITIVE_INFINITY },
  extensions: new Set(USUAL.split(" ")),
});

/** Asks the server what it takes and makes. */
export async function askCapabilities(): Promise<void> {
  const { formats, codecs, limits, extensions } = await ask<Capabilities>("GET", "/v1/capabilities");
  const known = extensions === undefined ? capabilities.value.extensions : new Set(extensions);
  capabilities.value = { formats, codecs, limits, extensions: known };
}
