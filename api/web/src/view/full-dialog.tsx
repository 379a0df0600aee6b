import { X } from "lucide-preact";
import type { ComponentChildren } from "preact";

import { text } from "../text";
import { Dialog } from "./dialog";

interface FullDialogProps {
  class: string;
  title: string;
  close(): void;
  children: ComponentChildren;
}

/** A dialog that takes all of the page, with its title and a button that closes it. */
export function FullDialog({ class: name, title, close, children }: FullDialogProps) {
  const id = `${name}-title`;
  return (
    <Dialog class={`full ${name}`} labelledBy={id} close={close}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="icon" aria-label={text.value.close} title={text.value.close} onClick={close}>
          <X size={18} />
        </button>
      </header>
      {children}
    </Dialog>
  );
}
