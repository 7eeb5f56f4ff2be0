// What a row says about its task, what can be done with it, and the totals of a day. Without DOM.

import { ago, money, t } from "./i18n.js";
import { leftText, secondsLeft } from "./time_left.js";

/** Return the facts of a task in the order they are shown. `now`: milliseconds since 1970. */
export function factsOf(task, progress, now) {
  return [...(progress ? progressOf(progress, now) : [lengthOf(task)]), task.resolution, ...costOf(task), ago(now / 1000 - task.began_at)].filter(Boolean);
}

function progressOf(progress, now) {
  const since = (now - (progress.at ?? now)) / 1000;
  const left = secondsLeft(progress, since);
  return [
    t("secondsLong", { seconds: Math.round(progress.seconds + since) }),
    progress.percent ? `${Math.round(progress.percent)} %` : "",
    left === null ? "" : leftText(left),
  ];
}

function lengthOf(task) {
  const seconds = task.seconds ?? task.duration;
  return seconds ? t("secondsLong", { seconds: Math.round(seconds * 10) / 10 }) : "";
}

function costOf(task) {
  if (task.sandbox) return [t("sandbox")];
  if (task.estimated_cost === null) return [task.host];
  return [task.host, t(task.continues_clip ? "estimateUpTo" : "estimate", { cost: money(task.estimated_cost) })];
}

/** Return the names of the actions that make sense for a task, in the order of its menu. */
export function actionsOf(task, { progress, mayWrite, onCanvas }) {
  const offered = {
    cancel: mayWrite && task.cancels && progress?.state === "queued",
    fetchAgain: mayWrite && task.task_id && (task.group === "running" || task.state === "missing"),
    download: task.file,
    compare: task.file,
    toCanvas: task.task_id,
    showNode: onCanvas,
    openWorkflow: task.prompt_id,
    copy: task.task_id,
    remove: mayWrite && !task.removed,
    restore: mayWrite && task.removed,
  };
  return Object.keys(offered).filter((name) => offered[name]);
}

/** Return the totals of a day by host as one line, "" if there are none. */
export function totalsLine(totals) {
  return (totals ?? [])
    .map((each) => t(each.connection === "sandbox" ? "totalFree" : "totalOf", { host: each.host, cost: money(each.estimated_usd), count: each.tasks }))
    .join(" · ");
}
