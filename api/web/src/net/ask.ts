/** A refusal or a fault, as the API's problem documents say it. */
export class Problem extends Error {
  constructor(
    /** The status; 0 where the server was not reached. */
    readonly status: number,
    /** The stable code; `unreachable` where the server was not reached. */
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

/** The problem that an answer's text says, or one of its status where it says none. */
export function problemOf(status: number, text: string): Problem {
  try {
    const { code, detail, title } = JSON.parse(text);
    if (typeof code === "string") return new Problem(status, code, detail ?? title ?? code);
  } catch {
    // A proxy's page, or nothing.
  }
  return new Problem(status, "unknown", `HTTP ${status}`);
}

/**
 * Asks the API.
 *
 * @throws {Problem}
 */
export async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const json =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(path, { method, ...json }).catch((cause: unknown) => {
    throw new Problem(0, "unreachable", String(cause));
  });
  const text = await response.text();
  if (!response.ok) throw problemOf(response.status, text);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
