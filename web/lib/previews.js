// The preview of Wait for Video after the page was reloaded: frontends forget what nodes showed, ComfyUI's history does not.

const NODE = "Wan27WaitForVideo";
const RUNS = 30; // of ComfyUI's history; each contains its whole graph
const SETTLED = 300; // milliseconds until the frontend has put back what it remembers itself, as after a change of tabs

/**
 * Return a function that shows what the last run of the open workflow showed on its Wait nodes.
 *
 * Graphs are opened often: each undo opens one. The history is asked for only if a Wait for Video shows nothing, and once for
 * each workflow until something has run.
 */
export function makeRestorer(app, api) {
  const known = new Map(); // outputs of Wait nodes by workflow
  let ran = false; // since the page was loaded

  async function restore() {
    const id = workflowId(app);
    if (!id || !emptyNodes(app).length) return;
    if (!known.has(id)) known.set(id, lastOutputs(await history(api), id));
    const outputs = known.get(id);
    for (const node of emptyNodes(app)) if (workflowId(app) === id && outputs[node] && (await isThere(api, outputs[node]))) show(app, api, node, outputs[node]);
  }

  const restoreSoon = () => setTimeout(() => restore().catch(() => {}), SETTLED); // without previews everything else still works
  api.addEventListener("status", ({ detail }) => {
    const remaining = detail?.exec_info?.queue_remaining;
    if (remaining) ran = true;
    if (remaining !== 0 || !ran) return;
    // A run that went on when the page was loaded is in the history only now.
    ran = false;
    known.clear();
    restoreSoon();
  });
  return restoreSoon;
}

/** Return {id of a Wait node as runs name it: its output} of the last run of a workflow that has one. `runs`: the oldest first. */
export function lastOutputs(runs, workflow) {
  const found = {};
  for (const run of runs) {
    if (run.prompt?.[3]?.extra_pnginfo?.workflow?.id !== workflow) continue;
    for (const [node, output] of Object.entries(run.outputs ?? {})) if (run.prompt[2]?.[node]?.class_type === NODE) found[node] = output;
  }
  return found;
}

/** Return the ids, as runs name them, of the Wait nodes in a graph and its subgraphs that show nothing. */
export function emptyWaits(graph, outputs, path = "") {
  return (graph?.nodes ?? []).flatMap((node) => {
    if (node.subgraph) return emptyWaits(node.subgraph, outputs, `${path}${node.id}:`);
    const key = path ? `${graph.id}:${node.id}` : String(node.id); // as frontends name it, who know each subgraph once
    return node.type === NODE && !outputs?.[key] ? [`${path}${node.id}`] : [];
  });
}

function emptyNodes(app) {
  return emptyWaits(app.rootGraph ?? app.graph, app.nodeOutputs);
}

async function history(api) {
  const response = await api.fetchApi(`/history?max_items=${RUNS}`, { cache: "no-store" });
  return response.ok ? Object.values(await response.json()) : [];
}

/** Return whether the files of an output still exist. */
async function isThere(api, output) {
  const files = Object.values(output).flat().filter((file) => file?.filename);
  const answers = await Promise.all(files.map((file) => api.fetchApi(`/view?${new URLSearchParams(file)}`, { method: "HEAD" })));
  return answers.every((answer) => answer.ok);
}

/** Show an output as if the node had just run: the only way that every frontend understands, with Nodes 2.0 too. */
function show(app, api, node, output) {
  api.dispatchEvent(new CustomEvent("executed", { detail: { node, display_node: node, output, prompt_id: null } }));
  // Nodes load their previews when they are drawn. After a run the frontend draws them, after this event it does not.
  app.graph.setDirtyCanvas(true, true);
}

function workflowId(app) {
  return (app.rootGraph ?? app.graph)?.id;
}
