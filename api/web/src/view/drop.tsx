import { useEffect } from "preact/hooks";

import { addFiles, isDragging } from "../state/uploads";
import { text } from "../text";

/** Takes files that are pasted, and shows where those go that are dragged; they may be dropped anywhere. */
export function Drop() {
  useEffect(() => {
    const paste = ({ clipboardData }: ClipboardEvent) => {
      if (clipboardData !== null && clipboardData.files.length > 0) addFiles(clipboardData.files);
    };
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  }, []);
  return isDragging.value ? (
    <div class="drop" aria-hidden="true">
      <span>{text.value.dropNow}</span>
    </div>
  ) : null;
}
