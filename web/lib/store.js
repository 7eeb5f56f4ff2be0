// The state of this page: the status, and the progress of running tasks. Nodes, tab and toasts read it.

import { listen, server } from "./server.js";

const watchers = new Set();

export const store = {
  status: null,
  /** {task_id: progress, and `at`: when it arrived} of running tasks. */
  progress: new Map(),
  tabOpen: false,
};

/** Call watcher("status" | "tasks" | "progress" | "reconnected", data) on every change; returns a function that stops it. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function notify(kind, data) {
  for (const watcher of [...watchers]) watcher(kind, data);
}

export async function refreshStatus() {
  try {
    store.status = await server.status();
  } catch {
    return; // the server is being restarted: the frontend says so, and `reconnected` requests it again
  }
  notify("status", store.status);
}

/** Keep the progress of a task, unless a later one arrived since `asked`, the time of the request that it answers. */
export function takeProgress(taskId, progress, asked = Infinity) {
  if (!taskId || !progress || store.progress.get(taskId)?.at >= asked) return;
  store.progress.set(taskId, { ...progress, at: Date.now() });
}

export function startStore(api) {
  listen("wan27.status", refreshStatus);
  listen("wan27.tasks", (data) => {
    if (store.status && !store.status.problem) {
      store.status.spent_today_usd = data.spent_today_usd;
      store.status.totals_today = data.totals_today;
      store.status.tasks = data.total;
      store.status.all_tasks = data.all_tasks;
    }
    for (const task of data.tasks) if (task.group !== "running") store.progress.delete(task.task_id);
    notify("tasks", data);
  });
  listen("wan27.progress", (data) => {
    for (const [taskId, progress] of Object.entries(data.progress)) takeProgress(taskId, progress);
    notify("progress", data.progress);
  });
  // The server was away: the events of the meantime are lost.
  api.addEventListener("reconnected", () => {
    refreshStatus();
    notify("reconnected", null);
  });
}
