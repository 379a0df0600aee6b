import { useSignal } from "@preact/signals";

import { Problem } from "../net/ask";
import { signIn } from "../state/session";
import { text } from "../text";

export function SignIn() {
  const key = useSignal("");
  const refused = useSignal("");
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await signIn(key.value);
    } catch (refusal) {
      const isUnknown = refusal instanceof Problem && refusal.status === 401;
      refused.value = isUnknown ? text.value.signInRefused : String((refusal as Error).message);
    }
  };
  return (
    <form class="card sign-in" onSubmit={submit}>
      <h2>{text.value.signInTitle}</h2>
      <p>{text.value.signInExplained}</p>
      <label>
        {text.value.key}
        <input
          type="password"
          autocomplete="current-password"
          required
          value={key}
          aria-describedby="refused"
          onInput={({ currentTarget }) => {
            key.value = currentTarget.value;
          }}
        />
      </label>
      <p id="refused" class="refused" role="alert">
        {refused}
      </p>
      <button type="submit" class="primary">
        {text.value.signIn}
      </button>
    </form>
  );
}
