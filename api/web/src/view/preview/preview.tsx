import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import type { Job } from "../../net/types";
import { jobs } from "../../state/jobs";
import { notifyOf } from "../../state/notices";
import { type Cost, costOf, makePreview } from "../../state/previews";
import { text } from "../../text";
import { bytes, clock, duration } from "../../text/format";
import { FullDialog } from "../full-dialog";
import { closePreview, previewed } from "./open";
import { Shown } from "./shown";
import { Source } from "./source";

/** A little of a job's result, before all of it is done. */
export function Preview() {
  const job = previewed.value;
  if (job === undefined) return null;
  return (
    <FullDialog class="preview" title={text.value.previewOf(job.name)} close={closePreview}>
      <Chosen key={job.id} job={job} />
    </FullDialog>
  );
}

/** A preview that was asked for. */
interface Asked {
  id: string;
  /** Which moment of the source it shows, in seconds. */
  at: number;
}

/** How long a preview that moves is, in seconds. */
const LENGTH = 5;
/** The frame of a moment begins no later than this behind it, in seconds: numbers are rounded. */
const ROUNDED = 0.001;

function Chosen({ job }: { job: Job }) {
  const said = text.value;
  const moment = useSignal(0);
  const length = useSignal(job.plan?.seconds);
  const asked = useSignal<Asked | undefined>(undefined);
  const preview = asked.value && jobs.value.get(asked.value.id);
  const make = async (seconds?: number) => {
    const at = Math.max(moment.value - ROUNDED, 0);
    const made = await makePreview(job, at, seconds);
    asked.value = { id: made.id, at: moment.value };
  };
  const isMade = preview?.state === "done";
  return (
    <>
      <div class="scene" data-state={preview?.state}>
        {asked.value && isMade ? (
          <Shown key={preview.id} preview={preview} source={job.links.source ?? ""} at={asked.value.at} />
        ) : (
          <Source address={job.links.source ?? ""} label={job.name} moment={moment} length={length} />
        )}
        <p class="shortage" role="status">
          {preview && !isMade && (preview.failure?.message ?? said.previewIsMade)}
        </p>
      </div>
      <div class="timeline">
        <Moment moment={moment} length={length} asked={asked} />
        <button type="button" class="plain" onClick={() => make().catch(notifyOf)}>
          {said.oneFrame}
        </button>
        <button type="button" class="primary" onClick={() => make(LENGTH).catch(notifyOf)}>
          {said.fiveSeconds}
        </button>
      </div>
      {isMade && <Costs preview={preview} length={length.value ?? 0} />}
    </>
  );
}

interface MomentProps {
  moment: Signal<number>;
  length: Signal<number | undefined>;
  asked: Signal<Asked | undefined>;
}

/** Where to look; another moment is one of the source again. */
function Moment({ moment, length, asked }: MomentProps) {
  if (length.value === undefined) return <span class="grow" />;
  return (
    <>
      <input
        type="range"
        aria-label={text.value.moment}
        aria-valuetext={clock(moment.value)}
        min={0}
        max={length.value}
        step="any"
        value={moment}
        onInput={({ currentTarget }) => {
          asked.value = undefined;
          moment.value = currentTarget.valueAsNumber;
        }}
      />
      <output class="clock">{`${clock(moment.value)} / ${clock(length.value)}`}</output>
    </>
  );
}

/** What all of the video costs. */
function Costs({ preview, length }: { preview: Job; length: number }) {
  const cost = useSignal<Cost>({});
  useEffect(() => {
    costOf(preview, length).then((known) => {
      cost.value = known;
    }, notifyOf);
  }, [preview.id, length]);
  const { seconds, bytes: size } = cost.value;
  const { wholeTakes, wholeHas } = text.value;
  return (
    <p class="costs">
      {seconds !== undefined && <span>{wholeTakes(duration(seconds))}</span>}
      {size !== undefined && <span>{wholeHas(bytes(size))}</span>}
    </p>
  );
}
