import type { Job } from "../../net/types";
import { text } from "../../text";
import type { Film } from "./film";

/** Why nothing moves, over a video: what comes next is loaded, or made, or not there any more. */
export function Shortage({ film: { job, doing, part, stream } }: { film: Film }) {
  const said = text.value;
  const failures = { gone: said.streamGone, unreachable: said.unreachable, unsupported: said.cannotShow };
  const failure = stream?.failure.value;
  if (failure !== undefined) {
    return (
      <div class="shortage" role="alert">
        <strong>{failures[failure]}</strong>
      </div>
    );
  }
  return (
    <div class="shortage" role="status">
      {doing === "loading" && <strong>{said.loading}</strong>}
      {doing === "making" && (
        <>
          <strong>{said.partIsMade(part + 1, job.progress.batches)}</strong>
          <span>{outlook(job)}</span>
        </>
      )}
    </div>
  );
}

/** What becomes of a part that is not finished. */
function outlook({ state }: Job): string {
  const { partIsNext, partWaits, partIsMissing } = text.value;
  if (state === "paused") return partWaits;
  return state === "failed" || state === "cancelled" ? partIsMissing : partIsNext;
}
