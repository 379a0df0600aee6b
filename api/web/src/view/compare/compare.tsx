import { useSignal } from "@preact/signals";

import type { Job } from "../../net/types";
import { text } from "../../text";
import { FullDialog } from "../full-dialog";
import { Segments } from "../segments";
import { closeCompare, compared, reason } from "./open";
import { Pairs } from "./pairs";
import { Pictures } from "./pictures";
import { mayPlay, Videos } from "./videos";

/** Before and after of one job, over all else. */
export function Compare() {
  const job = compared.value;
  if (job === undefined) return null;
  return (
    <FullDialog class="compare" title={job.name} close={closeCompare}>
      {reason.value && <p class="banner">{reason}</p>}
      {job.kind === "picture" ? <Pictures job={job} /> : <Film key={job.id} job={job} />}
    </FullDialog>
  );
}

/** Two videos that play as one, where this browser plays both; and a frame of each part. */
function Film({ job }: { job: Job }) {
  const { asVideos, asFrames, shownAs } = text.value;
  const canPlay = useSignal(reason.value === undefined && mayPlay(job));
  const chosen = useSignal("videos");
  if (!canPlay.value) return <Pairs job={job} />;
  return (
    <>
      <Segments
        legend={shownAs}
        name="shown-as"
        value={chosen.value}
        options={[
          ["videos", asVideos],
          ["frames", asFrames],
        ]}
        choose={(name) => {
          chosen.value = name;
        }}
      />
      {chosen.value === "videos" ? (
        <Videos
          job={job}
          giveUp={() => {
            canPlay.value = false;
          }}
        />
      ) : (
        <Pairs job={job} />
      )}
    </>
  );
}
