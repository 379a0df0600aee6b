import { FullDialog } from "../full-dialog";
import { closeWatch, watched } from "./open";
import { Player } from "./player";

/** A video as far as it is made, over all else. */
export function Watch() {
  const job = watched.value;
  if (job === undefined || job.links.stream === null) return null;
  return (
    <FullDialog class="watch" title={job.name} close={closeWatch}>
      <Player key={job.id} job={job} address={job.links.stream} />
    </FullDialog>
  );
}
