import type { Job } from "./types";

/** How long a stream that was refused is left alone, in milliseconds. */
const AGAIN = 3_000;

export interface Listener {
  /** Jobs may have changed unheard: list them again. */
  gap(): void;
  changed(job: Job): void;
  deleted(id: string): void;
  /** Whether the server is heard. */
  heard(yes: boolean): void;
}

/**
 * Follows all jobs for as long as the page lives. The browser comes back by itself after a lost connection and names the
 * last event; after a refusal it does not, and all must be listed again.
 */
export function follow(listener: Listener): void {
  const stream = new EventSource("/v1/events");
  stream.onopen = () => listener.heard(true);
  stream.onerror = () => {
    listener.heard(false);
    if (stream.readyState !== EventSource.CLOSED) return;
    setTimeout(() => {
      follow(listener);
      listener.gap();
    }, AGAIN);
  };
  stream.addEventListener("job", ({ data }) => listener.changed(JSON.parse(data)));
  stream.addEventListener("deleted", ({ data }) => listener.deleted(JSON.parse(data).id));
  stream.addEventListener("reset", () => listener.gap());
}
