// Which tasks a filter lets through. The server filters the list; this decides about tasks that change later.

/**
 * Return whether a task belongs to a list with this filter: {group, text, host, day}, each of them as the server gets it.
 *
 * The text is left out: only the server has the whole prompt to search. A task that matched still does after a change.
 */
export function fits(task, { group, host, day }) {
  if (task.removed !== (group === "removed")) return false;
  if (!["all", "removed", task.group].includes(group)) return false;
  return (!host || task.connection === host) && (!day || task.day === day);
}

export function isFiltered({ group, text, host, day }) {
  return group !== "all" || Boolean(text || host || day);
}
