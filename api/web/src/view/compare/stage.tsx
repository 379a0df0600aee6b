import Panzoom, { type PanzoomObject } from "@panzoom/panzoom";
import { useSignal } from "@preact/signals";
import { Maximize, ZoomIn, ZoomOut } from "lucide-preact";
import type { ComponentChild, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { text } from "../../text";
import { percent } from "../../text/format";

/** How large a pixel can be shown. */
const LARGEST = 8;

interface StageProps {
  before: ComponentChild;
  after: ComponentChild;
  /** Width and height of the result in pixels, which both are shown in. */
  size: readonly [number, number];
}

/** Two pictures of one size over each other, zoomed and moved as one, with a divider between them. */
export function Stage({ before, after, size }: StageProps) {
  const split = useSignal(50);
  const stage = useRef<HTMLDivElement>(null);
  const moved = useRef<HTMLDivElement>(null);
  const follows = useRef<HTMLDivElement>(null);
  const scale = useSignal(1);
  const panzoom = usePanzoom({ stage, moved, follows, size, show: (now) => (scale.value = now) });
  const box = {
    width: `${size[0]}px`,
    height: `${size[1]}px`,
    left: `calc(50% - ${size[0] / 2}px)`,
    top: `calc(50% - ${size[1] / 2}px)`,
  };
  return (
    <div class="stage" ref={stage}>
      <div class="layer">
        <div class="picture" ref={moved} style={box}>
          {before}
        </div>
      </div>
      <div class="layer above" style={{ clipPath: `inset(0 0 0 ${split.value}%)` }}>
        <div class="picture" ref={follows} style={box}>
          {after}
        </div>
      </div>
      <span class="side before">{text.value.before}</span>
      <span class="side after">{text.value.after}</span>
      <i class="divider" style={{ left: `${split.value}%` }} />
      <input
        type="range"
        class="split"
        aria-label={text.value.divider}
        value={split}
        onInput={({ currentTarget }) => {
          split.value = currentTarget.valueAsNumber;
        }}
      />
      <Zoom panzoom={panzoom} scale={scale.value} />
    </div>
  );
}

interface Moved {
  stage: RefObject<HTMLDivElement>;
  moved: RefObject<HTMLDivElement>;
  follows: RefObject<HTMLDivElement>;
  size: readonly [number, number];
  show(scale: number): void;
}

/** Moves and zooms one picture, and another with it; at first all of it is seen. */
function usePanzoom({ stage, moved, follows, size: [width, height], show }: Moved): RefObject<PanzoomObject> {
  const made = useRef<PanzoomObject>(null);
  useEffect(() => {
    const [around, picture] = [stage.current, moved.current];
    if (around === null || picture === null) return;
    const whole = Math.min(around.clientWidth / width, around.clientHeight / height, 1);
    const follow = () => {
      if (follows.current !== null) follows.current.style.transform = picture.style.transform;
      show(panzoom.getScale());
    };
    picture.addEventListener("panzoomchange", follow);
    const panzoom = Panzoom(picture, {
      canvas: true,
      startScale: whole,
      minScale: whole,
      maxScale: LARGEST,
      cursor: "grab",
    });
    const wheel = (event: WheelEvent) => panzoom.zoomWithWheel(event);
    around.addEventListener("wheel", wheel, { passive: false });
    made.current = panzoom;
    return () => {
      panzoom.destroy();
      picture.removeEventListener("panzoomchange", follow);
      around.removeEventListener("wheel", wheel);
    };
  }, [width, height]);
  return made;
}

function Zoom({ panzoom, scale }: { panzoom: RefObject<PanzoomObject>; scale: number }) {
  const said = text.value;
  const buttons = [
    { label: said.zoomOut, Icon: ZoomOut, press: () => panzoom.current?.zoomOut() },
    { label: said.zoomIn, Icon: ZoomIn, press: () => panzoom.current?.zoomIn() },
    { label: said.wholePicture, Icon: Maximize, press: () => panzoom.current?.reset() },
  ];
  return (
    <div class="zoom">
      {buttons.map(({ label, Icon, press }) => (
        <button key={label} type="button" class="icon" aria-label={label} title={label} onClick={press}>
          <Icon size={16} />
        </button>
      ))}
      <output>{percent(scale)}</output>
    </div>
  );
}
