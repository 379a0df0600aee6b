/** What this browser remembers of its user. Where it may not remember, it forgets. */

const name = (key: string) => `clearfleet.${key}`;

export function recall(key: string): string | undefined {
  try {
    return localStorage.getItem(name(key)) ?? undefined;
  } catch {
    return undefined;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(name(key), value);
  } catch {
    // Private windows and full disks: it counts until the page is left.
  }
}
