import { effect, useSignal } from "@preact/signals";
import {
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  type VirtualizerOptions,
  windowScroll,
} from "@tanstack/virtual-core";
import { useEffect, useRef, useState } from "preact/hooks";

import { listed, listMore } from "../state/jobs";
import { notifyOf } from "../state/notices";
import { isEmpty, rows } from "../state/rows";
import { text } from "../text";
import { AddButton } from "./add-button";
import { Mark } from "./header";
import { RowView } from "./row";

/** Height of a usual row in pixels, until it is measured. */
const USUAL_HEIGHT = 77;
/** Rows beyond what is seen that are there already. */
const BEYOND = 8;

/** The rows that are seen: of thousands, only these are in the page. */
function useSeen() {
  const box = useRef<HTMLUListElement>(null);
  const turn = useSignal(0);
  const options: VirtualizerOptions<Window, HTMLLIElement> = {
    count: rows.value.length,
    getItemKey: (index: number) => rows.value[index]?.key ?? index,
    getScrollElement: () => window,
    estimateSize: () => USUAL_HEIGHT,
    overscan: BEYOND,
    scrollMargin: box.current?.offsetTop ?? 0,
    initialRect: { width: innerWidth, height: innerHeight },
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    onChange: () => {
      turn.value += 1;
    },
  };
  const [seen] = useState(() => new Virtualizer(options));
  seen.setOptions(options);
  useEffect(() => seen._didMount(), [seen]);
  useEffect(() => seen._willUpdate());
  void turn.value;
  return { box, seen };
}

export function List() {
  if (rows.value.length > 0) return <Rows />;
  if (!listed.value) return <p class="nothing">{text.value.loading}</p>;
  return isEmpty.value ? <Empty /> : <p class="nothing">{text.value.nothingFound}</p>;
}

function Rows() {
  const { box, seen } = useSeen();
  const items = seen.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(
    () =>
      effect(() => {
        if (last + BEYOND >= rows.value.length) listMore().catch(notifyOf);
      }),
    [last],
  );
  return (
    <ul ref={box} class="rows" style={{ height: `${seen.getTotalSize()}px` }}>
      {items.map(({ index, key, start }) => {
        const row = rows.value[index];
        return (
          row && (
            <li
              key={key}
              ref={seen.measureElement}
              data-index={index}
              aria-setsize={rows.value.length}
              aria-posinset={index + 1}
              style={{ transform: `translateY(${start - seen.options.scrollMargin}px)` }}
            >
              <RowView row={row} />
            </li>
          )
        );
      })}
    </ul>
  );
}

function Empty() {
  return (
    <section class="empty">
      <Mark />
      <h2>{text.value.emptyTitle}</h2>
      <p>{text.value.emptyExplained}</p>
      <AddButton />
    </section>
  );
}
