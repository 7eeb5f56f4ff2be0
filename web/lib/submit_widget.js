// The widget at the bottom of Image to Video: sandbox badge, cost, the combination of its inputs, the lengths of its texts.

import { h, setText } from "./dom.js";
import { money, t } from "./i18n.js";
import { MEDIA, combination, counterLevel, countCharacters, estimate } from "./rules.js";
import { store, watch } from "./store.js";

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

function makeRoom(node) {
  const [, least] = node.computeSize();
  if (node.size[1] < least) node.setSize([node.size[0], least]);
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

function showCost(badge, cost, { values, linked, given }) {
  const { status } = store;
  const sandbox = Boolean(status?.connection?.sandbox);
  setText(badge, sandbox ? t("sandbox") : "");
  badge.hidden = !sandbox;
  if (!status || status.problem) {
    setText(cost, status?.problem ?? "");
    return;
  }
  const resolution = values("resolution");
  const [least, most] = status.limits.clip_billed_seconds;
  const clip = given.has("first_clip_url") ? { seconds: null } : null; // its length shows only when it is uploaded
  const ofClip = clip && !sandbox ? ` ${t("costOfClip", { least, most })}` : "";
  const again = ofClip + (!sandbox && values("on_repeat") === "submit_again" ? ` ${t("costAgain")}` : "");
  const seconds = Number(values("duration"));
  const what = ["duration", "resolution"].filter((name) => linked.has(name));
  const price = status.prices[resolution];
  const total = what.length ? null : estimate(seconds, resolution, status.prices, clip, [least, most]);
  const shown = {
    cost: total === null ? "?" : moneyRange(total),
    price: price === undefined ? "?" : money(price),
    seconds,
    what: what.join(", "),
    host: status.connection.name,
  };
  const suffix = `${sandbox ? "Sandbox" : ""}${what.length ? "Linked" : ""}`;
  setText(cost, t(sandbox ? "costSandbox" : what.length ? "costLinked" : "costLine", shown) + again);
  cost.title = t(`costDetail${suffix}`, shown);
}

function moneyRange({ low, high }) {
  return low === high ? money(low) : t("costRange", { low: money(low), high: money(high) });
}

function showShape(line, { given }) {
  const { ok, name, values } = combination(given);
  line.dataset.level = ok ? "fine" : "over";
  setText(line, `${ok ? "✓" : "✗"} ${t(name, values)}`);
}

function showCounter(part, name, { values, linked }) {
  const limit = store.status?.limits?.[LIMITS[name]];
  if (linked.has(name) || !limit) {
    part.dataset.level = "fine";
    setText(part, linked.has(name) ? t("counterLinked", { name }) : "");
    return;
  }
  const count = countCharacters(values(name));
  const level = counterLevel(count, limit);
  const rest = { near: t("counterNear", { left: limit - count }), over: t("counterOver", { over: count - limit }) }[level];
  part.dataset.level = level;
  setText(part, t("counter", { name, count, limit }) + (rest ? ` (${rest})` : ""));
}
