import {
  Columns2,
  Download,
  Eye,
  type LucideIcon,
  MonitorPlay,
  Pause,
  Play,
  RotateCcw,
  Trash2,
  X,
} from "lucide-preact";

import { type Action, isAtServer, offers, perform } from "../state/actions";
import type { Row } from "../state/rows";
import { text } from "../text";
import { canCompare, openCompare } from "./compare/open";
import { askToDelete } from "./delete-dialog";
import { canPreview, openPreview } from "./preview/open";
import { canWatch, openWatch } from "./watch/open";

/** Buttons of a row in the order in which they stand; the first of a row is its main one and has a word. */
const BUTTONS: [action: Action, icon: LucideIcon][] = [
  ["start", Play],
  ["download", Download],
  ["retry", RotateCcw],
  ["resume", Play],
  ["pause", Pause],
  ["cancelUpload", X],
  ["cancel", X],
  ["delete", Trash2],
];

function words(action: Action, row: Row): string {
  const said = text.value;
  if (action === "cancelUpload") return said.cancel;
  if (action === "start" && row.phase === "broken") return row.file.meta.isRefused ? said.retry : said.resume;
  if (action === "delete" && !isAtServer(row)) return said.remove;
  return said[action];
}

export function RowActions({ row }: { row: Row }) {
  const offered = BUTTONS.filter(([action]) => offers(row, action));
  return (
    <div class="actions">
      {canPreview(row) && <Look word={text.value.preview} name={row.name} Icon={Eye} look={() => openPreview(row)} />}
      {canWatch(row) && <Look word={text.value.watch} name={row.name} Icon={MonitorPlay} look={() => openWatch(row)} />}
      {canCompare(row) && (
        <Look word={text.value.compare} name={row.name} Icon={Columns2} look={() => openCompare(row)} />
      )}
      {offered.map(([action, Icon], place) => {
        const word = words(action, row);
        const isMain = place === 0 && action !== "delete";
        return (
          <button
            key={action}
            type="button"
            class={isMain ? "plain main" : "icon"}
            title={word}
            aria-label={text.value.of(word, row.name)}
            onClick={() => (action === "delete" && isAtServer(row) ? askToDelete([row]) : perform(action, [row]))}
          >
            <Icon size={isMain ? 15 : 16} />
            {isMain && <span>{word}</span>}
          </button>
        );
      })}
    </div>
  );
}

interface LookProps {
  word: string;
  /** Name of the file. */
  name: string;
  Icon: LucideIcon;
  look(): void;
}

/** A button that shows what there is of a row's result. */
function Look({ word, name, Icon, look }: LookProps) {
  return (
    <button type="button" class="icon" title={word} aria-label={text.value.of(word, name)} onClick={look}>
      <Icon size={16} />
    </button>
  );
}
