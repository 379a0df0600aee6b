import { FullDialog } from "../full-dialog";
import { closeCompare, compared, reason } from "./open";
import { Pairs } from "./pairs";
import { Pictures } from "./pictures";

/** Before and after of one job, over all else. */
export function Compare() {
  const job = compared.value;
  if (job === undefined) return null;
  return (
    <FullDialog class="compare" title={job.name} close={closeCompare}>
      {reason.value && <p class="banner">{reason}</p>}
      {job.kind === "picture" ? <Pictures job={job} /> : <Pairs job={job} />}
    </FullDialog>
  );
}
