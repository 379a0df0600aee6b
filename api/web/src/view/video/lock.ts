import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";

/** Videos further apart than this are brought together by a jump, in seconds; nearer ones by their pace. */
const JUMP = 0.3;
/** How far apart moments of videos that stand are still the same, in seconds: less than a frame of any video. */
const SAME = 0.004;
/** The part of a distance that is made up for in a second, and by how much the pace is changed for it at most. */
const [MADE_UP, MOST] = [4, 0.5];

/** After which of its events a video may be where another is not. */
const EVENTS = ["play", "playing", "pause", "waiting", "seeking", "seeked", "timeupdate", "loadeddata"];

const isMoving = (video: HTMLVideoElement) =>
  !video.paused && !video.seeking && video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;

/** Where a video begins: streams hold back their first frame for as long as their encoder did. */
function beginOf({ buffered }: HTMLVideoElement): number {
  const begin = buffered.length > 0 ? buffered.start(0) : 0;
  return begin < JUMP ? begin : 0;
}

/** Brings one video to where another is, or nearer to it. */
function bring(follower: HTMLVideoElement, leader: HTMLVideoElement, offset: number): void {
  const moment = leader.currentTime + offset;
  const ahead = follower.currentTime - moment;
  const moves = isMoving(leader);
  if (!follower.seeking && Math.abs(ahead) > (moves ? JUMP : SAME)) follower.currentTime = moment;
  if (!moves) {
    follower.pause();
    return;
  }
  follower.playbackRate = 1 - Math.min(Math.max(ahead * MADE_UP, -MOST), MOST);
  if (follower.paused) follower.play().catch(() => undefined);
}

/** What [useLock] does, until the function that it returns is called. */
function lock(follower: HTMLVideoElement, leader: HTMLVideoElement, offset: number): () => void {
  let begin = beginOf(leader);
  let next = 0;
  const act = () => bring(follower, leader, offset - begin);
  const begun = () => {
    begin = beginOf(leader);
  };
  const atEachFrame = () => {
    act();
    next = leader.requestVideoFrameCallback(atEachFrame);
  };
  atEachFrame();
  leader.addEventListener("loadeddata", begun, { once: true });
  for (const event of EVENTS) leader.addEventListener(event, act);
  follower.addEventListener("loadeddata", act);
  return () => {
    leader.cancelVideoFrameCallback(next);
    leader.removeEventListener("loadeddata", begun);
    for (const event of EVENTS) leader.removeEventListener(event, act);
    follower.removeEventListener("loadeddata", act);
  };
}

/** Has one video play and stand with another, less than a frame apart; what the other shows is `offset` seconds later in it. */
export function useLock(follower: RefObject<HTMLVideoElement>, leader: RefObject<HTMLVideoElement>, offset = 0): void {
  useEffect(() => {
    if (follower.current === null || leader.current === null) return;
    return lock(follower.current, leader.current, offset);
  }, [follower, leader, offset]);
}
