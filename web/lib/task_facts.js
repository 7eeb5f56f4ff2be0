// What a row says about its task, what can be done with it, and the totals of a day. Without DOM.

import { ago, money, t } from "./i18n.js";
import { leftText, secondsLeft } from "./time_left.js";

export const FORGOTTEN = 24 * 3600; // seconds: a service knows a task for this long, and the server removes no younger one
const LONGEST_TASK = 24 * 3600; // seconds
const RECENT = 15 * 60; // seconds

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

/** Return the estimate of a task in parentheses, "" if there is none: that of a task that was adopted is not known. */
export function amountOf(task) {
  return task.estimated_cost === null ? "" : t("amount", { cost: money(task.estimated_cost) });
}

/**
 * Return whether a task has just ended, and was not merely taken off the list or put back on it. `now`: as in factsOf.
 *
 * What the clocks of server and browser may differ by is small beside RECENT.
 */
export function hasJustEnded(task, now) {
  if (task.removed || !task.task_id || !["saved", "failed"].includes(task.state)) return false;
  const since = now / 1000 - (task.ended_at ?? task.began_at); // one that failed has no end
  return since < (task.ended_at === null ? LONGEST_TASK : RECENT);
}

/** Return the names of the actions that make sense for a task, in the order of its menu. */
export function actionsOf(task, { progress, mayWrite, onCanvas, now }) {
  const mayArrive = task.group === "running" && now / 1000 - task.began_at < FORGOTTEN;
  const offered = {
    cancel: mayWrite && progress?.can_cancel,
    fetchAgain: mayWrite && task.task_id && (task.group === "running" || task.state === "missing"),
    download: task.file,
    compare: task.file,
    toCanvas: task.task_id,
    showNode: onCanvas,
    openWorkflow: task.has_workflow,
    copy: task.task_id,
    remove: mayWrite && !task.removed && !mayArrive,
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
