import { X } from "lucide-preact";

import { text } from "../../text";
import { Dialog } from "../dialog";
import { closeCompare, compared } from "./open";
import { Pairs } from "./pairs";
import { Pictures } from "./pictures";

/** Before and after of one job, over all else. */
export function Compare() {
  const job = compared.value;
  if (job === undefined) return null;
  return (
    <Dialog class="compare" labelledBy="compare-title" close={closeCompare}>
      <header>
        <h2 id="compare-title">{job.name}</h2>
        <button
          type="button"
          class="icon"
          aria-label={text.value.close}
          title={text.value.close}
          onClick={closeCompare}
        >
          <X size={18} />
        </button>
      </header>
      {job.kind === "picture" ? <Pictures job={job} /> : <Pairs job={job} />}
    </Dialog>
  );
}
