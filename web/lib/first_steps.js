// The bar at the bottom of the canvas in the first minutes: from the first node to the example, from the sandbox to a host.

import { graphOf } from "./canvas.js";
import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { store, watch } from "./store.js";
import { hasJustEnded } from "./task_facts.js";

const FEW_TASKS = 3; // users with more know their way

/**
 * Return what comes next: "example", "host", or null if the user needs no help.
 *
 * `nodes`: those of the open graph. `status`: as in the store. `saw`: whether a video was saved since the page was loaded.
 */
export function nextStep({ status, nodes, saw }) {
  if (!status || status.problem) return null;
  const { connection, all_tasks: tasks } = status; // those that were taken off the list, too
  if (connection.sandbox && saw && tasks < FEW_TASKS) return "host";
  const onlyOurs = nodes.length > 0 && nodes.every((node) => isOurs(node) && !isLinked(node));
  return tasks === 0 && onlyOurs ? "example" : null;
}

function isOurs(node) {
  return String(node.type).startsWith("Wan27");
}

function isLinked(node) {
  return (node.inputs ?? []).some((input) => input.link != null) || (node.outputs ?? []).some((output) => output.links?.length);
}

/** Show the bar while it helps. It is not shown beside the open tab, which leads to the same places. */
export class FirstSteps {
  constructor(app, tab) {
    this.app = app;
    this.tab = tab;
    this.saw = false;
    this.closed = new Set(); // the steps that the user does not want to see
    this.element = h("div", { class: "wan27 wan27-steps", role: "region", "aria-label": t("tab"), hidden: true });
    document.body.append(this.element);
    watch((kind, data) => {
      if (kind === "tasks" && data.tasks.some((task) => task.state === "saved" && hasJustEnded(task, Date.now()))) this.saw = true;
      if (kind === "status" || kind === "tasks") this.show();
    });
    tab.onToggle = () => this.show();
  }

  /** Look again: the graph, the status or the tab changed. */
  show() {
    const step = nextStep({ status: store.status, nodes: graphOf(this.app)?.nodes ?? [], saw: this.saw });
    const wanted = store.tabOpen || this.closed.has(step) ? null : step;
    if (wanted === this.shown) return;
    this.shown = wanted;
    this.element.hidden = !wanted;
    if (wanted) this.element.replaceChildren(...this.parts(wanted));
  }

  parts(step) {
    const { ui } = this.tab;
    const button = (name, act) => h("button", { type: "button", class: "wan27-button", onclick: act }, t(name));
    const close = iconButton("pi-times", t("close"), () => {
      this.closed.add(step);
      this.app.canvas?.canvas?.focus(); // the button is about to go
      this.show();
    });
    const needsKey = store.status.connection.sandbox && button("hostAndKey", () => ui.openSettings());
    if (step === "host") return [h("span", {}, t("stepHost")), needsKey, close];
    return [h("span", {}, t("stepExample")), button("openExample", () => ui.openExample()), needsKey, close].filter(Boolean);
  }
}
