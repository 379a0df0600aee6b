import type { Job } from "../net/types";
import { heard } from "../state/jobs";
import type { Row } from "../state/rows";
import { type LocalFile, pace } from "../state/uploads";
import { text } from "../text";
import { bytes, duration, number, percent, rate } from "../text/format";
import { Strip } from "./strip";

/** How far a row is. */
export function Standing({ row }: { row: Row }) {
  return <div class="standing">{"file" in row ? <OfFile row={row} /> : <OfJob job={row.job} />}</div>;
}

function Words({ head, tail = [] }: { head: string; tail?: (string | false | undefined)[] }) {
  return (
    <span class="words">
      <strong>{head}</strong>
      {tail.filter(Boolean).map((part) => (
        <span key={part}>{part}</span>
      ))}
    </span>
  );
}

function OfFile({ row }: { row: Row & { file: LocalFile } }) {
  const said = text.value;
  const { progress, error } = row.file;
  if (row.phase === "ready") return <Words head={said.ready} />;
  if (row.phase === "broken") {
    return (
      <>
        <Words head={row.file.meta.isRefused ? said.refused : said.uploadStopped} />
        <span class="reason">{error}</span>
      </>
    );
  }
  const share = (progress.bytesUploaded || 0) / (progress.bytesTotal || 1);
  const now = pace(row.file);
  return (
    <>
      <progress aria-label={said.of(said.uploading, row.name)} value={share} />
      <Words
        head={`${heard.value ? said.uploading : said.waitingForServer} ${percent(share)}`}
        tail={now ? [said.aSecond(bytes(now.speed)), said.left(duration(now.left))] : []}
      />
    </>
  );
}

function OfJob({ job }: { job: Job }) {
  const said = text.value;
  switch (job.state) {
    case "uploading":
      return (
        <>
          <progress aria-label={said.of(said.uploading, job.name)} value={job.source.received / job.source.bytes} />
          <Words head={`${said.uploadUnfinished} ${percent(job.source.received / job.source.bytes)}`} />
          <span class="reason">{said.uploadLeft}</span>
        </>
      );
    case "queued":
      return <Words head={said.queued} tail={[place(job)]} />;
    case "planning":
      return <Words head={said.planning} />;
    case "running":
    case "paused":
    case "assembling":
      return <Working job={job} />;
    case "done":
      return <Words head={said.done} tail={[job.result ? bytes(job.result.bytes) : undefined]} />;
    case "failed":
      return (
        <>
          <Words head={said.failed} />
          <span class="reason" title={job.failure?.causes.join("\n")}>
            {job.failure?.message}
          </span>
        </>
      );
    case "cancelled":
      return <Words head={said.cancelled} />;
    case "expired":
      return <Words head={said.expired} />;
  }
}

function place({ progress }: Job): string | undefined {
  if (progress.place_in_line === null) return undefined;
  return progress.place_in_line === 0 ? text.value.next : text.value.jobsBefore(progress.place_in_line);
}

function Working({ job }: { job: Job }) {
  const said = text.value;
  const { done, total, frames_per_second, seconds_left } = job.progress;
  const isRunning = job.state === "running";
  const heads = { running: said.running, paused: said.paused, assembling: said.assembling } as const;
  return (
    <>
      <Strip job={job} />
      <Words
        head={heads[job.state as keyof typeof heads]}
        tail={[
          job.kind === "video" && total > 0 && said.framesOf(number(done), number(total)),
          job.kind === "picture" && total > 0 && percent(done / total),
          isRunning &&
            frames_per_second !== null &&
            job.kind === "video" &&
            said.framesASecond(rate(frames_per_second)),
          isRunning && seconds_left !== null && said.left(duration(seconds_left)),
        ]}
      />
    </>
  );
}
