// The preview of Wait for Video after the page was reloaded: frontends forget what nodes showed, ComfyUI's history does not.

const NODE = "Wan27WaitForVideo";
const RUNS = 30; // of ComfyUI's history; each contains its whole graph

/** Return a function that shows what the last run of the open workflow showed on Wait for Video, unless it is shown. */
export function makeRestorer(app, api) {
  const restore = () => showLastRun(app, api).catch(() => {}); // without previews everything else still works
  const restoreWhenIdle = ({ detail }) => {
    if (detail?.exec_info?.queue_remaining !== 0) return;
    api.removeEventListener("status", restoreWhenIdle);
    restore();
  };
  return () => {
    restore();
    api.addEventListener("status", restoreWhenIdle); // a run that goes on is in the history only when it has ended
  };
}

async function showLastRun(app, api) {
  const id = workflowId(app);
  if (!id) return;
  const response = await api.fetchApi(`/history?max_items=${RUNS}`, { cache: "no-store" });
  const runs = response.ok ? Object.entries(await response.json()) : [];
  if (workflowId(app) !== id) return; // another workflow was opened meanwhile
  const restored = new Set();
  for (const [promptId, run] of runs.reverse()) {
    if (run.prompt?.[3]?.extra_pnginfo?.workflow?.id !== id) continue;
    for (const [node, output] of Object.entries(run.outputs ?? {})) {
      if (run.prompt[2]?.[node]?.class_type !== NODE || restored.has(node) || app.nodeOutputs?.[node]) continue;
      restored.add(node);
      // As if the node had just run: the way that every frontend understands.
      const detail = { node, display_node: node, output, prompt_id: promptId };
      api.dispatchEvent(new CustomEvent("executed", { detail }));
    }
  }
  // Nodes load their previews when they are drawn. After a run the frontend draws them, after this event it does not.
  if (restored.size) app.graph.setDirtyCanvas(true, true);
}

function workflowId(app) {
  return (app.rootGraph ?? app.graph)?.id;
}
