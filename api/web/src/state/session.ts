import { signal } from "@preact/signals";

import { ask, Problem } from "../net/ask";
import type { Session } from "../net/types";

/** Who is in front of the page; `unknown` until the server said it, `nobody` where it wants a key first. */
export const session = signal<Session | "unknown" | "nobody">("unknown");

export const isIn = () => typeof session.value === "object";

/** How long to wait before a server that was not reached is asked again, in milliseconds. */
const AGAIN = 2_000;

/** Finds out who is in front of the page. */
export async function recognise(): Promise<void> {
  try {
    session.value = await ask<Session>("GET", "/v1/session");
  } catch (refusal) {
    if (refusal instanceof Problem && refusal.status === 401) session.value = "nobody";
    else setTimeout(recognise, AGAIN);
  }
}

/**
 * Signs in with a key.
 *
 * @throws {Problem} of status 401 where the key opens nothing
 */
export async function signIn(key: string): Promise<void> {
  session.value = await ask<Session>("POST", "/v1/session", { key });
}

export async function signOut(): Promise<void> {
  await ask("DELETE", "/v1/session");
  // What this user saw goes with the page.
  location.reload();
}
