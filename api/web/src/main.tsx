import { effect } from "@preact/signals";
import { render } from "preact";

import "./style/base.css";
import "./style/controls.css";
import "./style/frame.css";
import "./style/rows.css";
import "./style/dialogs.css";
import "./style/compare.css";
import "./style/watch.css";
import { askCapabilities } from "./state/capabilities";
import { followJobs } from "./state/jobs";
import { notifyOf } from "./state/notices";
import { isIn, recognise } from "./state/session";
import { language } from "./text";
import { App } from "./view/app";

effect(() => {
  document.documentElement.lang = language.value;
});

const app = document.getElementById("app");
if (app !== null) render(<App />, app);

let begun = false;
effect(() => {
  if (!isIn() || begun) return;
  begun = true;
  askCapabilities().catch(notifyOf);
  followJobs();
});

void recognise();
