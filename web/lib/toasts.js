// Toasts for tasks that end while the tab is closed or hidden. A click on one plays the video or opens the tab.

import { t } from "./i18n.js";
import { play } from "./player.js";
import { store, watch } from "./store.js";
import { hasJustEnded } from "./task_facts.js";

const GATHER = 600;
const LIFE = 12000;
const LONGEST = 120;

/** Actions of the toasts, by their text: the frontend's toasts have no action of their own. */
const clickable = new Map();

export function startToasts(app, tab) {
  const shown = new Set();
  let ended = [];
  watch((kind, data) => {
    if (kind !== "tasks" || (store.tabOpen && !document.hidden)) return;
    for (const task of data.tasks) {
      if (!hasJustEnded(task, Date.now()) || shown.has(`${task.id} ${task.state}`)) continue;
      shown.add(`${task.id} ${task.state}`);
      // The tasks of a batch end together; one toast is enough for them.
      if (!ended.length) setTimeout(() => announce(app, tab, ended.splice(0)), GATHER);
      ended.push(task);
    }
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("button")) actOf(event.target)?.();
  });
}

/** Find the action of a clicked element by its text: frontends build their toasts differently. */
function actOf(element) {
  for (let up = 0; element && element !== document.body && up < 8; element = element.parentElement, up += 1) {
    const shown = element.textContent;
    for (const [text, act] of clickable) if (shown.includes(text) && shown.length <= text.length + 200) return act;
  }
  return null;
}

function announce(app, tab, tasks) {
  const failed = tasks.filter((task) => task.state === "failed");
  const saved = tasks.filter((task) => task.state === "saved");
  for (const task of failed) add(app, "error", t("toastFailed"), short(task.reason || task.task_id), () => tab.open());
  if (saved.length === 1) {
    const [task] = saved;
    add(app, "success", t("toastDone"), t("toastClick", { prompt: short(task.prompt) || task.task_id }), () => play(task));
  } else if (saved.length) {
    add(app, "success", t("toastDoneMany", { count: saved.length }), t("toastClickTab"), () => tab.open());
  }
}

function add(app, severity, summary, detail, act) {
  app.extensionManager.toast.add({ severity, summary, detail, life: LIFE });
  clickable.set(detail, act);
  setTimeout(() => clickable.delete(detail), LIFE + 1000);
}

function short(text) {
  return text && text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}
