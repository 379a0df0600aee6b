import { Plus } from "lucide-preact";
import { useRef } from "preact/hooks";

import { capabilities } from "../state/capabilities";
import { addFiles } from "../state/uploads";
import { text } from "../text";

export function AddButton() {
  const input = useRef<HTMLInputElement>(null);
  const extensions = [...capabilities.value.extensions].map((extension) => `.${extension}`);
  return (
    <>
      <button type="button" class="primary" onClick={() => input.current?.click()}>
        <Plus size={16} />
        {text.value.add}
      </button>
      <input
        ref={input}
        type="file"
        hidden
        multiple
        accept={`image/*,video/*,${extensions.join()}`}
        onChange={({ currentTarget }) => {
          addFiles(currentTarget.files ?? []);
          // So that the same file can be chosen again.
          currentTarget.value = "";
        }}
      />
    </>
  );
}
