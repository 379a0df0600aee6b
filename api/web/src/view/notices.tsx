import { X } from "lucide-preact";

import { dismiss, notices } from "../state/notices";
import { text } from "../text";

export function Notices() {
  return (
    <section class="notices" aria-live="polite">
      {notices.value.map(({ id, said }) => (
        <p key={id} class="notice">
          {said}
          <button type="button" class="icon" aria-label={text.value.dismiss} onClick={() => dismiss(id)}>
            <X size={14} />
          </button>
        </p>
      ))}
    </section>
  );
}
