import { ask } from "../net/ask";
import type { Estimate, Job } from "../net/types";
import { heardJob } from "./jobs";

/**
 * Has a frame of a job, or some seconds of it, be made ahead of everything else; the job that makes it.
 *
 * @throws {Problem}
 */
export async function makePreview(of: Job, at: number, seconds?: number): Promise<Job> {
  const length = seconds === undefined ? {} : { seconds };
  const made = await ask<Job>("POST", `/v1/jobs/${of.id}/preview`, { at, ...length });
  heardJob(made);
  return made;
}

/** What all of a video costs, as far as a preview of it tells. */
export interface Cost {
  /** Seconds of work of one worker. */
  seconds?: number;
  /** How large the result is. */
  bytes?: number;
}

/**
 * What a video of some seconds costs of which this is a preview that is done.
 *
 * @throws {Problem}
 */
export async function costOf({ plan, result }: Job, length: number): Promise<Cost> {
  if (plan === null || result === null || plan.seconds === 0) return {};
  const [width, height] = plan.target_size;
  const frames = Math.max(Math.round((plan.frames / plan.seconds) * length), 1);
  const query = `width=${width}&height=${height}&frames=${frames}&target=1`;
  const { seconds } = await ask<Estimate>("GET", `/v1/estimate?${query}`);
  return {
    ...(seconds !== null && { seconds }),
    // Of a picture nothing follows for a video.
    ...(result.content_type.startsWith("video/") && { bytes: (result.bytes / plan.seconds) * length }),
  };
}
