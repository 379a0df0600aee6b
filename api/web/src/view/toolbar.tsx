import { Download, Play, Search, Settings2, Trash2, X } from "lucide-preact";
import type { ComponentChildren } from "preact";

import { type Action, offers, perform } from "../state/actions";
import { FILTERS, type Filter, filter, hasMore, list, searched } from "../state/jobs";
import { notifyOf } from "../state/notices";
import { isOpen, rows, tick, ticked, tickedRows } from "../state/rows";
import { text } from "../text";
import { number } from "../text/format";
import { AddButton } from "./add-button";
import { askToDelete } from "./delete-dialog";
import { openSettings } from "./settings-dialog";

export function Toolbar() {
  return (
    <div class="toolbar">
      <div class="bar">
        <AddButton />
        <Finder />
      </div>
      <div class="bar" role="toolbar" aria-label={text.value.actionsForTicked}>
        <TickAll />
        <ForTicked action="start" primary>
          <Play size={15} />
          {text.value.startUpload}
        </ForTicked>
        <ForTicked action="cancelUpload">
          <X size={15} />
          {text.value.cancelUpload}
        </ForTicked>
        <SettingsOfTicked />
        <ForTicked action="download">
          <Download size={15} />
          {text.value.download}
        </ForTicked>
        <ForTicked action="delete">
          <Trash2 size={15} />
          {text.value.delete}
        </ForTicked>
      </div>
    </div>
  );
}

function TickAll() {
  const all = rows.value;
  const count = tickedRows.value.length;
  return (
    <label class="tick-all">
      <input
        type="checkbox"
        aria-label={text.value.tickAll}
        disabled={all.length === 0}
        checked={count > 0 && count === all.length}
        indeterminate={count > 0 && count < all.length}
        onChange={({ currentTarget }) => {
          if (currentTarget.checked) {
            tick(
              all.map((row) => row.key),
              true,
            );
          } else ticked.value = new Set();
        }}
      />
      <span>
        {count > 0 ? text.value.ticked(count) : text.value.files(`${number(all.length)}${hasMore.value ? "+" : ""}`)}
      </span>
    </label>
  );
}

interface ForTickedProps {
  action: Action;
  primary?: boolean;
  children: ComponentChildren;
}

function ForTicked({ action, primary = false, children }: ForTickedProps) {
  const concerned = tickedRows.value.filter((row) => offers(row, action));
  const isPrimary = primary && concerned.length > 0;
  return (
    <button
      type="button"
      class={isPrimary ? "primary" : "plain"}
      disabled={concerned.length === 0}
      onClick={() => (action === "delete" ? askToDelete(concerned) : perform(action, concerned))}
    >
      {children}
    </button>
  );
}

function SettingsOfTicked() {
  const open = tickedRows.value.filter(isOpen);
  return (
    <button type="button" class="plain" disabled={open.length === 0} onClick={() => openSettings(open)}>
      <Settings2 size={15} />
      {text.value.settings}
    </button>
  );
}

/** How long nothing is typed before it is searched for, in milliseconds. */
const PAUSE = 250;
let pause: ReturnType<typeof setTimeout> | undefined;

function search(part: string): void {
  searched.value = part;
  clearTimeout(pause);
  pause = setTimeout(() => list().catch(notifyOf), PAUSE);
}

function show(chosen: Filter): void {
  filter.value = chosen;
  list().catch(notifyOf);
}

function Finder() {
  const { filterAll, filterActive, filterDone, filterFailed } = text.value;
  const names = { all: filterAll, active: filterActive, done: filterDone, failed: filterFailed };
  return (
    <search class="finder">
      <fieldset class="segments">
        <legend class="unseen">{text.value.filter}</legend>
        {(Object.keys(FILTERS) as Filter[]).map((name) => (
          <label key={name}>
            <input type="radio" name="filter" checked={filter.value === name} onChange={() => show(name)} />
            <span>{names[name]}</span>
          </label>
        ))}
      </fieldset>
      <label class="search">
        <Search size={15} />
        <input
          type="search"
          aria-label={text.value.search}
          placeholder={text.value.search}
          value={searched}
          onInput={({ currentTarget }) => search(currentTarget.value)}
        />
      </label>
    </search>
  );
}
