import { useSignal } from "@preact/signals";

import type { Job } from "../../net/types";
import { text } from "../../text";
import { Stage } from "./stage";

/** A still: the source enlarged by the browser, and the result, pixel by pixel. */
export function Pictures({ job: { links, result } }: { job: Job }) {
  const isUnreadable = useSignal(false);
  if (result === null || links.source === null || links.result === null) return null;
  if (isUnreadable.value) return <p class="nothing">{text.value.cannotShow}</p>;
  const failed = () => {
    isUnreadable.value = true;
  };
  return (
    <Stage
      size={[result.width, result.height]}
      before={<img src={links.source} alt={text.value.before} draggable={false} onError={failed} />}
      after={<img src={links.result} alt={text.value.after} draggable={false} onError={failed} />}
    />
  );
}
