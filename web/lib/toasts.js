// When a task ends and nobody looks at the tab: the frontend's own toast says so, and a click on it shows the video.

import { play } from "./player.js";
import { store, watch } from "./store.js";
import { TAB_ID } from "./tab.js";
import { t } from "./text.js";

const GATHER = 600;
const LIFE = 12000;
const LONGEST = 120;

/** Toasts that can be clicked, by their text: the frontend's toasts have no action of their own. */
const clickable = new Map();

export function startToasts(app) {
  const told = new Set();
  let ended = [];
  watch((kind, data) => {
    if (kind !== "tasks" || (store.tabOpen && !document.hidden)) return;
    for (const task of data.tasks) {
      const fresh = ["saved", "failed"].includes(task.state) && task.task_id && !told.has(`${task.id} ${task.state}`);
      if (!fresh) continue;
      told.add(`${task.id} ${task.state}`);
      // A batch ends together; one toast is enough for it.
      if (!ended.length) setTimeout(() => tell(app, ended.splice(0)), GATHER);
      ended.push(task);
    }
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("button")) actOf(event.target)?.();
  });
}

/** What a click here means. Frontends build their toasts differently: the text tells, in an element with little else. */
function actOf(element) {
  for (let up = 0; element && element !== document.body && up < 8; element = element.parentElement, up += 1) {
    const shown = element.textContent;
    for (const [text, act] of clickable) if (shown.includes(text) && shown.length <= text.length + 200) return act;
  }
  return null;
}

function tell(app, tasks) {
  const failed = tasks.filter((task) => task.state === "failed");
  const saved = tasks.filter((task) => task.state === "saved");
  for (const task of failed) add(app, "error", t("toastFailed"), short(task.reason || task.task_id), () => openTab(app));
  if (saved.length === 1) {
    const [task] = saved;
    add(app, "success", t("toastDone"), t("toastClick", { prompt: short(task.prompt) || task.task_id }), () => play(task));
  } else if (saved.length) {
    add(app, "success", t("toastDoneMany", { count: saved.length }), t("toastClickTab"), () => openTab(app));
  }
}

function add(app, severity, summary, detail, act) {
  app.extensionManager.toast.add({ severity, summary, detail, life: LIFE });
  clickable.set(detail, act);
  setTimeout(() => clickable.delete(detail), LIFE + 1000);
}

function openTab(app) {
  if (!store.tabOpen) app.extensionManager.sidebarTab?.toggleSidebarTab?.(TAB_ID);
}

function short(text) {
  return text && text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}
