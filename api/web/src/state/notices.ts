import { signal } from "@preact/signals";

import { Problem } from "../net/ask";
import { text } from "../text";

export interface Notice {
  id: number;
  said: string;
}

/** Notices at once; older ones go. */
const MOST = 4;
/** How long a notice stays, in milliseconds. */
const STAYS = 10_000;

/** What a person should read now, oldest first. */
export const notices = signal<readonly Notice[]>([]);

let last = 0;

export function notify(said: string): void {
  last += 1;
  const id = last;
  notices.value = [...notices.value, { id, said }].slice(-MOST);
  setTimeout(() => dismiss(id), STAYS);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

/** Says why something was refused. */
export function notifyOf(refusal: unknown): void {
  if (refusal instanceof Problem && refusal.code === "unreachable") notify(text.value.unreachable);
  else notify(refusal instanceof Error ? refusal.message : String(refusal));
}
