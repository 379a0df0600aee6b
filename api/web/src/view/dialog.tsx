import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface DialogProps {
  class: string;
  /** Id of the element that says what it is. */
  labelledBy: string;
  close(): void;
  children: ComponentChildren;
}

/** A modal dialog for as long as it is rendered; Escape and a press beside it close it. */
export function Dialog({ class: name, labelledBy, close, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  // Before the effects of what is in it, which measure.
  useLayoutEffect(() => dialog.current?.showModal(), []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape does the same
    <dialog
      ref={dialog}
      class={name}
      aria-labelledby={labelledBy}
      onClose={close}
      onClick={({ target, currentTarget }) => target === currentTarget && currentTarget.close()}
    >
      {children}
    </dialog>
  );
}
