import { text } from "../text";
import { bytes } from "../text/format";
import { capabilities } from "./capabilities";

/** What a name ends with, in lower case. */
function extension(name: string): string {
  const at = name.lastIndexOf(".");
  return at < 0 ? "" : name.slice(at + 1).toLowerCase();
}

/** Why a file is not added, before a byte of it is sent; nothing for one that is. */
export function refusal(name: string, size: number, isThere: boolean): string | undefined {
  const { limits, extensions } = capabilities.value;
  if (isThere) return text.value.refusedTwice(name);
  // None are known for the moment until the server has said them.
  if (extensions.size > 0 && !extensions.has(extension(name))) return text.value.refusedKind(name);
  if (size === 0) return text.value.refusedEmpty(name);
  if (size > limits.bytes) return text.value.refusedSize(name, bytes(limits.bytes));
  return undefined;
}
