import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { Job } from "../../net/types";
import { text } from "../../text";
import { duration } from "../../text/format";
import { Stage } from "./stage";

/** How long a part that is not done yet is left alone, in milliseconds. */
const AGAIN = 1_500;

/** A frame of each batch of a video, before and after, along its time. */
export function Pairs({ job }: { job: Job }) {
  const { batches } = job.progress;
  const part = useSignal(0);
  const pair = usePair(job.id, part.value);
  const seconds = ((part.value + 0.5) / batches) * (job.plan?.seconds ?? 0);
  return (
    <>
      {pair === undefined ? (
        <p class="nothing">{text.value.notThereYet}</p>
      ) : (
        <Stage
          key={pair.width}
          size={[pair.width / 2, pair.height]}
          before={<Half pair={pair} side={0} label={text.value.before} />}
          after={<Half pair={pair} side={1} label={text.value.after} />}
        />
      )}
      {batches > 1 && (
        <label class="timeline">
          <span>{text.value.momentOf(part.value + 1, batches)}</span>
          <input
            type="range"
            aria-label={text.value.moment}
            min={0}
            max={batches - 1}
            value={part}
            onInput={({ currentTarget }) => {
              part.value = currentTarget.valueAsNumber;
            }}
          />
          <output>{duration(seconds)}</output>
        </label>
      )}
    </>
  );
}

/** The pair of a batch, as soon as it is there; asking for it has the batch done before others. */
function usePair(job: string, part: number): ImageBitmap | undefined {
  const pair = useSignal<ImageBitmap | undefined>(undefined);
  useEffect(() => {
    const left = new AbortController();
    let later: ReturnType<typeof setTimeout> | undefined;
    const load = async () => {
      const answer = await fetch(`/v1/jobs/${job}/pairs/${part}`, { signal: left.signal });
      if (!answer.ok) {
        pair.value = undefined;
        later = setTimeout(attempt, AGAIN);
        return;
      }
      const loaded = await createImageBitmap(await answer.blob());
      if (!left.signal.aborted) pair.value = loaded;
    };
    const attempt = () => {
      load().catch(() => {
        if (!left.signal.aborted) later = setTimeout(attempt, AGAIN);
      });
    };
    attempt();
    return () => {
      left.abort();
      clearTimeout(later);
    };
  }, [job, part]);
  return pair.value;
}

function Half({ pair, side, label }: { pair: ImageBitmap; side: 0 | 1; label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = pair.width / 2;
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    context?.drawImage(pair, side * width, 0, width, pair.height, 0, 0, width, pair.height);
  }, [pair, side, width]);
  return <canvas ref={canvas} width={width} height={pair.height} role="img" aria-label={label} />;
}
