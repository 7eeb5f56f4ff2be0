// What this page knows: the status, and the tasks it was told of. Nodes, tab and toasts all look here.

import { listen, server } from "./server.js";

const watchers = new Set();

export const store = {
  status: null,
  /** {task_id: progress, with `at`: when it was heard}, of tasks that run now. */
  progress: new Map(),
  tabOpen: false,
};

/** Be told ("status" | "tasks" | "progress", data) from now on; gives back how to stop. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function tell(kind, data) {
  for (const watcher of [...watchers]) watcher(kind, data);
}

export async function refreshStatus() {
  try {
    store.status = await server.status();
  } catch {
    return; // a server that is being restarted: the frontend says so itself, and `reconnected` asks again
  }
  tell("status", store.status);
}

export function takeProgress(taskId, progress) {
  if (taskId && progress) store.progress.set(taskId, { ...progress, at: Date.now() });
}

/** The seconds that a task runs by now: they go on between two messages. */
export function secondsNow(progress) {
  return progress.seconds + (Date.now() - (progress.at ?? Date.now())) / 1000;
}

export function startStore(api) {
  listen("wan27.status", refreshStatus);
  listen("wan27.tasks", (data) => {
    if (store.status && !store.status.problem) {
      store.status.spent_today_usd = data.spent_today_usd;
      store.status.tasks = data.total;
    }
    for (const task of data.tasks) if (!["intent", "submitted", "succeeded"].includes(task.state)) store.progress.delete(task.task_id);
    tell("tasks", data);
  });
  listen("wan27.progress", (data) => {
    for (const [taskId, progress] of Object.entries(data.progress)) takeProgress(taskId, progress);
    tell("progress", data.progress);
  });
  // The server was away: whatever happened meanwhile was told to nobody.
  api.addEventListener("reconnected", () => {
    refreshStatus();
    tell("reconnected", null);
  });
}
