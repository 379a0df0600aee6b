import { LogOut } from "lucide-preact";

import { session, signOut } from "../state/session";
import { THEMES, type Theme, theme } from "../state/theme";
import { catalogues, type Language, language, speak, text } from "../text";

export function Header() {
  const who = session.value;
  return (
    <header class="header">
      <h1 class="brand">
        <Mark />
        Clearfleet
      </h1>
      <a class="quiet" href="/docs">
        {text.value.documentation}
      </a>
      <Choice
        label={text.value.languageChoice}
        value={language.value}
        options={Object.entries(catalogues).map(([tag, { language }]) => [tag, language])}
        choose={(tag) => speak(tag as Language)}
      />
      <Choice
        label={text.value.appearance}
        value={theme.value}
        options={THEMES.map((name) => [name, nameOf(name)])}
        choose={(name) => {
          theme.value = name as Theme;
        }}
      />
      {typeof who === "object" && who.by_cookie && (
        <button type="button" class="icon" aria-label={text.value.signOut} title={text.value.signOut} onClick={signOut}>
          <LogOut size={16} />
        </button>
      )}
    </header>
  );
}

function nameOf(theme: Theme): string {
  const { light, dark, likeSystem } = text.value;
  return { light, dark, system: likeSystem }[theme];
}

interface ChoiceProps {
  label: string;
  value: string;
  options: [value: string, shown: string][];
  choose(value: string): void;
}

function Choice({ label, value, options, choose }: ChoiceProps) {
  return (
    <select
      class="quiet"
      aria-label={label}
      title={label}
      value={value}
      onChange={({ currentTarget }) => choose(currentTarget.value)}
    >
      {options.map(([value, shown]) => (
        <option key={value} value={value}>
          {shown}
        </option>
      ))}
    </select>
  );
}

/** The left half of a disc, in squares. */
const COARSE =
  "M4.3 8.3h3.4v3.4h-3.4zM4.3 12.3h3.4v3.4h-3.4zM4.3 16.3h3.4v3.4h-3.4zM4.3 20.3h3.4v3.4h-3.4zM8.3 4.3h3.4v3.4h-3.4zM8.3 8.3h3.4v3.4h-3.4zM8.3 12.3h3.4v3.4h-3.4zM8.3 16.3h3.4v3.4h-3.4zM8.3 20.3h3.4v3.4h-3.4zM8.3 24.3h3.4v3.4h-3.4zM12.3 4.3h3.4v3.4h-3.4zM12.3 8.3h3.4v3.4h-3.4zM12.3 12.3h3.4v3.4h-3.4zM12.3 16.3h3.4v3.4h-3.4zM12.3 20.3h3.4v3.4h-3.4zM12.3 24.3h3.4v3.4h-3.4z";

/** A disc that is coarse on the left and sharp on the right. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <path opacity=".6" d={COARSE} />
      <path d="M16.3 4a12 12 0 0 1 0 24z" />
    </svg>
  );
}
