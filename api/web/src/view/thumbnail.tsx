import { useSignal } from "@preact/signals";
import { Film, Image } from "lucide-preact";

import type { Row } from "../state/rows";

function address(row: Row): string | undefined {
  if ("file" in row) return row.file.preview;
  // It is made when the source is looked at, and goes with it.
  return row.job.plan === null || row.phase === "expired" ? undefined : `/v1/jobs/${row.job.id}/thumbnail`;
}

export function Thumbnail({ row }: { row: Row }) {
  const at = address(row);
  // One that is not there yet is asked for again in the next phase.
  const missed = useSignal("");
  const attempt = `${at} ${row.phase}`;
  const isVideo = "file" in row ? row.file.type.startsWith("video/") : row.job.kind === "video";
  return (
    <span class="thumbnail">
      {at === undefined || missed.value === attempt ? (
        isVideo ? (
          <Film size={20} />
        ) : (
          <Image size={20} />
        )
      ) : (
        <img
          key={attempt}
          src={at}
          alt=""
          loading="lazy"
          onError={() => {
            missed.value = attempt;
          }}
        />
      )}
    </span>
  );
}
