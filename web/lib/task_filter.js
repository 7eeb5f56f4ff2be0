// Which tasks a filter lets through. The server filters the list; this decides about tasks that change later.

/** Return whether a task belongs to a list with this filter: {group, text, host, day}, each of them as the server gets it. */
export function fits(task, { group, text, host, day }) {
  if (task.removed !== (group === "removed")) return false;
  if (!["all", "removed", task.group].includes(group)) return false;
  if ((host && task.connection !== host) || (day && task.day !== day)) return false;
  const wanted = text.toLowerCase();
  return !wanted || [task.prompt, task.task_id, task.file?.filename].some((part) => part?.toLowerCase().includes(wanted));
}

export function isFiltered({ group, text, host, day }) {
  return group !== "all" || Boolean(text || host || day);
}
