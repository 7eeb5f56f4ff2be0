// The pack's routes under /wan27/ and its events; nodes/panel/routes.py documents them.

let api = null;

export function useApi(comfyApi) {
  api = comfyApi;
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await api.fetchApi(`/wan27${path}`, { cache: "no-store", ...options });
  } catch {
    throw new Error("");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `${response.status}`);
  return body;
}

function write(method, path, body = {}) {
  return ask(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export const server = {
  status: () => ask("/status"),
  balance: () => ask("/balance"),
  taskIds: (filter) => ask(`/task_ids?${new URLSearchParams(filter)}`),
  tasksOf: (ids) => ask(`/tasks?ids=${ids.join(",")}`),
  task: (id) => ask(`/tasks/${id}`),
  fetchAgain: (id) => write("POST", `/tasks/${id}/fetch`),
  cancel: (id) => write("POST", `/tasks/${id}/cancel`),
  remove: (id, withFile) => write("POST", `/tasks/${id}/remove`, { delete_file: withFile }),
  restore: (id) => write("POST", `/tasks/${id}/restore`),
  settings: () => ask("/settings"),
  saveSettings: (set) => write("PUT", "/settings", { set }),
  check: (part) => write("POST", "/check", { part }),
  example: (name) => ask(`/examples/${name}`),
  /** Return the names of the images in ComfyUI's input folder. */
  async inputImages() {
    const response = await api.fetchApi("/object_info/LoadImage");
    if (!response.ok) throw new Error("");
    const [choices, options] = (await response.json()).LoadImage.input.required.image;
    return Array.isArray(choices) ? choices : (options?.options ?? []); // newer cores name the type first
  },
  /** Return the workflow that requested a task, or null if neither the pack nor ComfyUI's history has it. */
  async workflowOf(task) {
    const kept = await ask(`/tasks/${task.id}/workflow`).catch(() => null);
    if (kept) return kept.workflow;
    const response = await api.fetchApi(`/history/${encodeURIComponent(task.prompt_id)}`);
    const entry = response.ok ? (await response.json())[task.prompt_id] : null;
    return entry?.prompt?.[3]?.extra_pnginfo?.workflow ?? null;
  },
};

export function thumbnailUrl(task) {
  return api.apiURL(`/wan27/posters/${task.id}?v=${encodeURIComponent(task.poster)}`);
}

export function videoUrl(task) {
  return api.apiURL(`/view?${new URLSearchParams(task.file)}`);
}

/** Listen to one of the pack's events; returns a function that stops it. */
export function listen(event, listener) {
  const call = (message) => listener(message.detail);
  api.addEventListener(event, call);
  return () => api.removeEventListener(event, call);
}
