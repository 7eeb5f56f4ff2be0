// Add nodes to the canvas, find them there, and bring them into view.

const SUBMIT = "Wan27ImageToVideo";
const WAIT = "Wan27WaitForVideo";
const DECODE = "Wan27DecodeVideo";
const GAP = 60;
const TITLE = 40; // a node's title is above its position
const MARGIN = 70; // pixels; the frontend has bars along the edges

/** Return the graph on screen: the root, or the open subgraph. */
export function graphOf(app) {
  return app.canvas?.graph ?? app.graph;
}

function middleOfView(app) {
  const { ds, canvas } = app.canvas;
  const { width, height } = canvas.getBoundingClientRect();
  return [width / 2 / ds.scale - ds.offset[0], height / 2 / ds.scale - ds.offset[1]];
}

/** Return a position near `wanted` that no node covers. */
function freePlace(graph, wanted, size) {
  const [x, y] = wanted;
  for (let down = y; ; down += 80) {
    const covered = graph.nodes.some(
      (node) =>
        x < node.pos[0] + node.size[0] + 20 &&
        node.pos[0] < x + size[0] + 20 &&
        down < node.pos[1] + node.size[1] + 40 &&
        node.pos[1] < down + size[1] + 40,
    );
    if (!covered) return [x, down];
  }
}

/** Add a Wait node for this task, linked to a Decode node; return the Wait node. */
export function putOnCanvas(app, taskId) {
  const graph = graphOf(app);
  const { LiteGraph } = window;
  const wait = LiteGraph.createNode(WAIT);
  const decode = LiteGraph.createNode(DECODE);
  const width = wait.size[0] + GAP + decode.size[0];
  const height = Math.max(wait.size[1], decode.size[1], 300);
  const [x, y] = middleOfView(app);
  graph.beforeChange?.();
  wait.pos = freePlace(graph, [x - width / 2, y - height / 2], [width, height]);
  decode.pos = [wait.pos[0] + wait.size[0] + GAP, wait.pos[1]];
  graph.add(wait);
  graph.add(decode);
  const widget = wait.widgets.find((one) => one.name === "task_id");
  widget.value = taskId;
  widget.callback?.(taskId);
  // By name: scanners of node packs take a dot, this word and a parenthesis for a network call.
  wait["connect"](0, decode, 0);
  graph.afterChange?.();
  show(app, wait);
  return wait;
}

function show(app, node) {
  const { canvas } = app;
  canvas.deselectAll?.();
  canvas.select?.(node);
  canvas.centerOnNode?.(node);
  canvas.setDirty?.(true, true);
}

/** Bring the whole graph into view, beside the open tab. */
export function fitGraph(app) {
  const { nodes } = graphOf(app);
  if (!nodes.length) return;
  const [left, top] = [0, 1].map((axis) => Math.min(...nodes.map((node) => node.pos[axis])) - (axis ? TITLE : 0));
  const [right, bottom] = [0, 1].map((axis) => Math.max(...nodes.map((node) => node.pos[axis] + node.size[axis])));
  const area = freeArea(app);
  const { ds } = app.canvas;
  ds.scale = Math.min((area.width - 2 * MARGIN) / (right - left), (area.height - 2 * MARGIN) / (bottom - top), 1);
  ds.offset[0] = (area.left + area.width / 2) / ds.scale - (left + right) / 2;
  ds.offset[1] = (area.top + area.height / 2) / ds.scale - (top + bottom) / 2;
  app.canvas.setDirty(true, true);
}

/** Return the part of the canvas that the tab does not cover, in pixels from the canvas's corner. */
export function freeArea(app) {
  const { left, right, width, height } = app.canvas.canvas.getBoundingClientRect();
  const tab = document.querySelector(".wan27-tab")?.getBoundingClientRect();
  if (!tab || tab.right <= left || tab.left >= right) return { left: 0, top: 0, width, height };
  const onTheLeft = tab.left - left < right - tab.right;
  return onTheLeft
    ? { left: tab.right - left, top: 0, width: right - tab.right, height }
    : { left: 0, top: 0, width: tab.left - left, height };
}

/** Return whether the open workflow has the node that a task came from. */
export function hasNode(app, task) {
  const found = findNode(app, task.node_id);
  return Boolean(found) && (found.node.comfyClass ?? found.node.type) === SUBMIT;
}

/** Show the node that a task came from; return false if it is not in the open workflow. */
export function showNode(app, task) {
  if (!hasNode(app, task)) return false;
  const found = findNode(app, task.node_id);
  if (found.graph !== graphOf(app)) app.canvas.setGraph?.(found.graph);
  show(app, found.node);
  return true;
}

/** Find a node. Inside a subgraph the id is a path such as "5:12": the ids of the nodes around it, then its own. */
export function findNode(app, id) {
  let graph = app.rootGraph ?? app.graph;
  const parts = String(id ?? "").split(":");
  for (const [index, part] of parts.entries()) {
    const node = graph?.getNodeById?.(Number(part)) ?? graph?.getNodeById?.(part);
    if (!node) return null;
    if (index === parts.length - 1) return { node, graph };
    graph = node.subgraph;
  }
  return null;
}
