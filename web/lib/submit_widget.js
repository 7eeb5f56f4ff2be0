// The widget at the bottom of Image to Video: sandbox badge, cost, the combination of its inputs, the lengths of its texts.

import { h, setText } from "./dom.js";
import { t } from "./i18n.js";
import { makeRoom } from "./node_text.js";
import { MEDIA, combination } from "./rules.js";
import { store, watch } from "./store.js";
import { costText, counterText } from "./submit_texts.js";

const HEIGHT = 92;
const LIMITS = { prompt: "prompt_chars", negative_prompt: "negative_prompt_chars" };
const NEVER = 2; // LiteGraph's mode of a muted node: its outputs are left out of the prompt

const decorated = new Set();

/** Add the widget to a node, and keep it up to date. */
export function decorateSubmit(node) {
  const badge = h("span", { class: "wan27-badge" });
  const cost = h("span", { class: "wan27-cost" });
  const shape = h("div", { class: "wan27-shape" });
  const counters = h("div", { class: "wan27-counters" });
  const parts = Object.fromEntries(Object.keys(LIMITS).map((name) => [name, h("span", { class: "wan27-counter" })]));
  counters.append(...Object.values(parts));
  const root = h(
    "div",
    { class: "wan27 wan27-node", role: "status", "aria-label": t("estimatedCost") },
    h("div", { class: "wan27-costline" }, badge, cost),
    shape,
    counters,
  );
  const widget = node.addDOMWidget("wan27_info", "wan27_info", root, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => HEIGHT,
    getMaxHeight: () => HEIGHT,
    getValue: () => undefined,
    setValue: () => {},
  });
  // A workflow finds the values of widgets by their position, so this one must not be among them.
  widget.serialize = false;

  const refresh = () => {
    const state = read(node);
    showCost(badge, cost, state);
    showShape(shape, state);
    for (const name of Object.keys(LIMITS)) showCounter(parts[name], name, state);
  };
  followNode(node, refresh);
  // The frontend sized the node before it had this widget, and so did a workflow that was saved without the pack.
  makeRoom(node);
  chain(node, "onConfigure", () => makeRoom(node));
  decorated.add(refresh);
  const stop = watch((kind) => kind === "status" && refresh());
  chain(node, "onRemoved", () => {
    decorated.delete(refresh);
    stop();
  });
  refresh();
}

/** Update all: the graph changed in a way that nodes do not hear about (undo, paste, another extension). */
export function refreshSubmitNodes() {
  for (const refresh of decorated) refresh();
}

function followNode(node, refresh) {
  // After the frontend has stored the value, not before.
  const soon = () => queueMicrotask(refresh);
  for (const widget of node.widgets ?? []) chain(widget, "callback", soon);
  for (const hook of ["onConnectionsChange", "onConfigure", "onWidgetChanged"]) chain(node, hook, soon);
}

function chain(object, name, after) {
  const before = object[name];
  object[name] = function (...values) {
    const result = before?.apply(this, values);
    after();
    return result;
  };
}

/** Read what the node will request. Linked values are not known here. */
function read(node) {
  const widgets = new Map((node.widgets ?? []).map((widget) => [widget.name, widget]));
  const linked = new Set();
  for (const input of node.inputs ?? []) if (isLinked(node, input)) linked.add(input.name);
  const given = MEDIA.filter((field) => linked.has(field) || String(widgets.get(field)?.value ?? "").trim());
  return { values: (name) => widgets.get(name)?.value, linked, given: new Set(given) };
}

function isLinked(node, input) {
  if (input.link === null || input.link === undefined) return false;
  const graph = node.graph;
  const link = graph?.getLink?.(input.link) ?? graph?.links?.[input.link] ?? graph?.links?.get?.(input.link);
  const origin = link && graph.getNodeById?.(link.origin_id);
  return !origin || origin.mode !== NEVER;
}

function showCost(badge, cost, state) {
  const { status } = store;
  badge.hidden = !status?.connection?.sandbox;
  setText(badge, badge.hidden ? "" : t("sandbox"));
  const { text, detail } = costText(status, state);
  setText(cost, text);
  cost.title = detail;
}

function showShape(line, { given }) {
  const { ok, name, values } = combination(given);
  line.dataset.level = ok ? "fine" : "over";
  setText(line, `${ok ? "✓" : "✗"} ${t(name, values)}`);
}

function showCounter(part, name, state) {
  const { text, level } = counterText(name, store.status?.limits?.[LIMITS[name]], state);
  part.dataset.level = level;
  setText(part, text);
}
