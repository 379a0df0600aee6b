import { signal, useSignal } from "@preact/signals";

import type { Settings } from "../net/types";
import { changeSettings, redo } from "../state/actions";
import { canRedo, type Row, wishOf } from "../state/rows";
import { text } from "../text";
import { Dialog } from "./dialog";
import { DenoiseField, FormatFields, QualityField, SharpenField } from "./settings-fields";
import { TargetField } from "./target-field";

/** The rows whose settings are being changed. */
const opened = signal<readonly Row[]>([]);

export function openSettings(rows: readonly Row[]): void {
  opened.value = rows;
}

const close = () => {
  opened.value = [];
};

export function SettingsDialog() {
  const [first] = opened.value;
  if (first === undefined) return null;
  const said = text.value;
  return canRedo(first) ? (
    <SettingsForm
      begin={wishOf(first)}
      title={said.doAgain}
      hint={said.doAgainExplained}
      word={said.doAgain}
      apply={(settings) => redo(first, settings)}
    />
  ) : (
    <SettingsForm
      begin={wishOf(first)}
      title={said.settingsOf(opened.value.length)}
      hint={said.settingsKept}
      word={said.save}
      apply={(settings) => changeSettings(opened.value, settings)}
    />
  );
}

interface SettingsFormProps {
  begin: Settings;
  title: string;
  hint: string;
  /** What its main button says. */
  word: string;
  apply(settings: Settings): Promise<void>;
}

function SettingsForm({ begin, title, hint, word, apply }: SettingsFormProps) {
  const settings = useSignal(begin);
  const change = (changed: Partial<Settings>) => {
    settings.value = { ...settings.value, ...changed };
  };
  const fields = { settings: settings.value, change };
  return (
    <Dialog class="card" labelledBy="settings-title" close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void apply(settings.value);
          close();
        }}
      >
        <h2 id="settings-title">{title}</h2>
        <TargetField {...fields} />
        <FormatFields {...fields} />
        <QualityField {...fields} />
        <DenoiseField {...fields} />
        <SharpenField {...fields} />
        <p class="hint">{hint}</p>
        <div class="buttons">
          <button type="button" class="plain" onClick={close}>
            {text.value.cancel}
          </button>
          <button type="submit" class="primary">
            {word}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
