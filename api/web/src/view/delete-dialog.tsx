import { signal } from "@preact/signals";

import { isAtServer, perform } from "../state/actions";
import type { Row } from "../state/rows";
import { text } from "../text";
import { Dialog } from "./dialog";

/** The rows that are to be deleted. */
const asked = signal<readonly Row[]>([]);

/** Deletes rows: at once what is here only, else after a question. */
export function askToDelete(rows: readonly Row[]): void {
  if (rows.some(isAtServer)) asked.value = rows;
  else void perform("delete", rows);
}

const close = () => {
  asked.value = [];
};

export function DeleteDialog() {
  const rows = asked.value;
  if (rows.length === 0) return null;
  return (
    <Dialog class="card" labelledBy="delete-title" close={close}>
      <h2 id="delete-title">{text.value.deleteTitle(rows.length)}</h2>
      {rows.length === 1 && <p class="name">{rows[0]?.name}</p>}
      <p>{text.value.deleteExplained}</p>
      <div class="buttons">
        <button type="button" class="plain" onClick={close}>
          {text.value.keep}
        </button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            close();
            void perform("delete", rows);
          }}
        >
          {text.value.delete}
        </button>
      </div>
    </Dialog>
  );
}
