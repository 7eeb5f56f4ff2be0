// One task in the task list.

import { h, iconButton, setText } from "./dom.js";
import { ago, money, t } from "./i18n.js";
import { thumbnailUrl, videoUrl } from "./server.js";
import { secondsNow, store } from "./store.js";

/** A list item that shows a task. `update` keeps its elements, so that the focus stays where it is. */
export class TaskRow {
  constructor(task, actions) {
    this.actions = actions;
    this.thumbnail = h("button", { type: "button", class: "wan27-thumbnail" });
    this.prompt = h("div", { class: "wan27-prompt" });
    this.state = h("span", { class: "wan27-state" });
    this.facts = h("span", { class: "wan27-facts" });
    this.bar = h("progress", { class: "wan27-bar", max: 100 });
    this.reason = h("div", { class: "wan27-reason" });
    this.buttons = h("div", { class: "wan27-actions", role: "group" });
    this.element = h(
      "li",
      { class: "wan27-row" },
      this.thumbnail,
      h("div", { class: "wan27-body" }, this.prompt, h("div", { class: "wan27-meta" }, this.state, this.facts), this.bar, this.reason, this.buttons),
    );
    this.thumbnail.addEventListener("click", () => this.actions.play(this.task));
    this.update(task);
  }

  update(task) {
    const before = this.task;
    this.task = task;
    this.element.dataset.task = task.id;
    const title = task.prompt || t("noPrompt");
    setText(this.prompt, title);
    this.prompt.title = task.prompt;
    setText(this.reason, task.reason);
    this.reason.hidden = !task.reason;
    if (before?.poster !== task.poster || before?.file?.filename !== task.file?.filename || !before) this.showThumbnail();
    if (!before || shapeOf(before) !== shapeOf(task)) this.showButtons(title);
    this.tick();
  }

  /** Show what changes with time alone. */
  tick() {
    const { task } = this;
    const running = task.group === "running";
    const progress = running ? store.progress.get(task.task_id) : null;
    const state = progress?.state ?? task.state;
    this.state.dataset.state = running ? "running" : task.state;
    setText(this.state, t(`state_${state}`));
    setText(this.facts, facts(task, progress).join(" · "));
    this.bar.hidden = !running;
    if (running) showBar(this.bar, task, progress);
  }

  showThumbnail() {
    const { task } = this;
    this.thumbnail.replaceChildren();
    this.thumbnail.disabled = !task.file;
    const label = task.file ? `${t("play")}: ${task.prompt || task.task_id}` : t("firstFrame");
    this.thumbnail.setAttribute("aria-label", label);
    this.thumbnail.title = task.file ? t("play") : "";
    if (task.poster) {
      const image = h("img", { src: thumbnailUrl(task), alt: "", loading: "lazy", decoding: "async", width: 96, height: 64 });
      image.addEventListener("error", () => image.remove());
      this.thumbnail.append(image);
    }
    this.thumbnail.append(h("i", { class: `pi ${task.file ? "pi-play" : "pi-image"}`, "aria-hidden": "true" }));
  }

  showButtons(title) {
    const { task, actions } = this;
    const focused = this.buttons.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    const button = (name, icon, label) => iconButton(icon, label, () => actions[name](this.task), { "data-action": name });
    const shown = [];
    if (task.task_id) shown.push(button("copy", "pi-copy", t("copy")), button("toCanvas", "pi-plus-circle", t("toCanvas")));
    if (task.file) {
      shown.push(
        h(
          "a",
          { class: "wan27-icon", href: videoUrl(task), download: task.file.filename, title: t("download"), "aria-label": t("download"), "data-action": "download" },
          h("i", { class: "pi pi-download", "aria-hidden": "true" }),
        ),
      );
    }
    if (task.node_id) shown.push(button("showNode", "pi-sitemap", t("showNode")));
    if (task.task_id && (task.group === "running" || task.state === "missing") && actions.mayWrite())
      shown.push(button("fetchAgain", "pi-refresh", t("fetch")));
    this.buttons.replaceChildren(...shown);
    this.buttons.setAttribute("aria-label", t("actionsOf", { prompt: title.slice(0, 60) }));
    if (focused) this.buttons.querySelector(`[data-action="${focused}"]`)?.focus();
  }
}

function shapeOf(task) {
  return JSON.stringify([task.task_id, task.file, task.node_id, task.state]);
}

function facts(task, progress) {
  const found = [];
  if (progress) {
    found.push(t("secondsLong", { seconds: Math.round(secondsNow(progress)) }));
    if (progress.percent) found.push(`${Math.round(progress.percent)} %`);
    if (progress.eta_seconds) found.push(t("toGo", { seconds: Math.round(progress.eta_seconds) }));
  } else {
    const length = task.seconds ?? task.duration;
    if (length) found.push(t("secondsLong", { seconds: Math.round(length * 10) / 10 }));
  }
  if (task.resolution) found.push(task.resolution);
  if (task.sandbox) found.push(t("sandbox"));
  else if (task.estimated_cost !== null) {
    found.push(t(task.continues_clip ? "estimateUpTo" : "estimate", { cost: money(task.estimated_cost) }));
  }
  found.push(ago(Date.now() / 1000 - task.began_at));
  return found;
}

function showBar(bar, task, progress) {
  bar.setAttribute("aria-label", t("state_submitted"));
  const share =
    progress?.state === "downloading" && progress.total_bytes
      ? (100 * progress.downloaded_bytes) / progress.total_bytes
      : progress?.percent;
  if (share) bar.value = share;
  else bar.removeAttribute("value");
}
