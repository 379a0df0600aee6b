// Plays what a server offers, and tells what is to be seen at given times.
//
// Input: `url` of the server, `path` of the media, `type` where not every Chromium plays such media, `times` in seconds to seek
// to one after the other, `background` of the page as CSS has it. Output: nothing where this one does not play the type; else
// the `width`, `height` and `duration`, whether `sound` was decoded, and for each time the frame's own time and the mean colours of its blocks, row by row, over the
// background: `drawn` on a canvas, and `shown` on the page.

import { inChromium } from "./chromium.mjs";

await inChromium(
  async (page, { url, path, type, times, background }) => {
    if (type && !(await page.evaluate(plays, type))) {
      return null;
    }
    await page.addInitScript(prepare);
    // A page of the server's own, so that a canvas with its media may be read.
    await page.goto(`${url}/healthz`);
    const media = await page.evaluate(open, { path, background });
    const frames = [];
    for (const time of times) {
      const frame = await page.evaluate(seek, time);
      const picture = await page.locator("video").screenshot();
      const shown = await page.evaluate(means, picture.toString("base64"));
      frames.push({ ...frame, shown });
    }
    return { ...media, frames };
  },
  // The server's answers may load nothing, as they are.
  { bypassCSP: true },
);

// What follows runs in the page.

/** Whether media of this type can be played. */
function plays(type) {
  return document.createElement("video").canPlayType(type) !== "";
}

/** Gives pages a function for the mean red, green and blue of an image's blocks, 16 pixels on an edge, over the background. */
function prepare() {
  const BLOCK = 16;
  globalThis.meansOf = (image, width, height) => {
    const canvas = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = document.body.style.backgroundColor;
    canvas.fillRect(0, 0, width, height);
    canvas.drawImage(image, 0, 0);
    const means = [];
    for (let y = 0; y + BLOCK <= height; y += BLOCK) {
      for (let x = 0; x + BLOCK <= width; x += BLOCK) {
        const sums = [0, 0, 0, 0];
        canvas.getImageData(x, y, BLOCK, BLOCK).data.forEach((sample, at) => (sums[at % 4] += sample));
        means.push(sums.slice(0, 3).map((sum) => sum / BLOCK ** 2));
      }
    }
    return means;
  };
}

/** Makes a player of the media, and plays a little of it. */
async function open({ path, background }) {
  document.body.innerHTML = "<video muted preload=auto style='display: block'>";
  document.body.style.backgroundColor = background;
  const video = document.querySelector("video");
  const playing = new Promise((resolve, reject) => {
    video.ontimeupdate = () => video.currentTime > 0 && resolve();
    video.onerror = () => reject(new Error(`${path}: ${video.error.message}`));
  });
  video.src = path;
  await Promise.all([video.play(), playing]);
  video.pause();
  const sound = video.webkitAudioDecodedByteCount > 0;
  return { width: video.videoWidth, height: video.videoHeight, duration: video.duration, sound };
}

/** Seeks, and looks at the frame that is there then. */
async function seek(time) {
  const video = document.querySelector("video");
  const presented = new Promise((resolve) => video.requestVideoFrameCallback((_now, frame) => resolve(frame)));
  video.currentTime = time;
  const { mediaTime } = await presented;
  return { mediaTime, currentTime: video.currentTime, drawn: meansOf(video, video.videoWidth, video.videoHeight) };
}

/** Looks at a PNG in base64. */
async function means(picture) {
  const answer = await fetch(`data:image/png;base64,${picture}`);
  const image = await createImageBitmap(await answer.blob());
  return meansOf(image, image.width, image.height);
}
