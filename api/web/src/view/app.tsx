import { announced, heard, listed } from "../state/jobs";
import { isEmpty } from "../state/rows";
import { isIn, session } from "../state/session";
import { text } from "../text";
import { Compare } from "./compare/compare";
import { DeleteDialog } from "./delete-dialog";
import { Drop } from "./drop";
import { Header } from "./header";
import { List } from "./list";
import { Notices } from "./notices";
import { Preview } from "./preview/preview";
import { SettingsDialog } from "./settings-dialog";
import { SignIn } from "./sign-in";
import { Toolbar } from "./toolbar";
import { Watch } from "./watch/watch";

export function App() {
  return (
    <>
      <Header />
      <main>{session.value === "nobody" ? <SignIn /> : isIn() && <Files />}</main>
      <Notices />
      <output class="unseen">{announced}</output>
    </>
  );
}

function Files() {
  return (
    <>
      {!heard.value && (
        <p class="banner" role="alert">
          {text.value.unreachable}
        </p>
      )}
      {listed.value && !isEmpty.value && <Toolbar />}
      <List />
      <Drop />
      <SettingsDialog />
      <DeleteDialog />
      <Compare />
      <Watch />
      <Preview />
    </>
  );
}
