// One task in the task list.

import { h, setText } from "./dom.js";
import { t } from "./i18n.js";
import { menuButton } from "./menu.js";
import { thumbnailUrl, videoUrl } from "./server.js";
import { store } from "./store.js";
import { actionsOf, factsOf } from "./task_facts.js";

const ICONS = {
  cancel: "pi-ban",
  fetchAgain: "pi-refresh",
  download: "pi-download",
  compare: "pi-clone",
  toCanvas: "pi-plus-circle",
  showNode: "pi-sitemap",
  openWorkflow: "pi-folder-open",
  copy: "pi-copy",
  remove: "pi-trash",
  restore: "pi-undo",
};

/** A list item that shows a task. `update` keeps its elements, so that the focus stays where it is. */
export class TaskRow {
  /** `actions`: a function for each action's name, mayWrite() and isOnCanvas(task). */
  constructor(task, actions) {
    this.actions = actions;
    this.thumbnail = h("button", { type: "button", class: "wan27-thumbnail" });
    this.prompt = h("div", { class: "wan27-prompt" });
    this.menu = menuButton("pi-ellipsis-h", t("actions"), () => this.menuItems());
    this.state = h("span", { class: "wan27-state" });
    this.facts = h("span", { class: "wan27-facts" });
    this.bar = h("progress", { class: "wan27-bar", max: 100 });
    this.reason = h("div", { class: "wan27-reason" });
    this.compare = h("button", { type: "button", class: "wan27-button wan27-compare-this", hidden: true }, t("compareThis"));
    this.element = h(
      "div",
      { class: "wan27-row", role: "listitem" },
      this.thumbnail,
      h(
        "div",
        { class: "wan27-body" },
        h("div", { class: "wan27-title" }, this.prompt, this.menu),
        h("div", { class: "wan27-meta" }, this.state, this.facts),
        this.bar,
        this.reason,
        this.compare,
      ),
    );
    this.thumbnail.addEventListener("click", () => this.actions.play(this.task));
    this.compare.addEventListener("click", () => this.actions.compare(this.task, this));
    this.update(task);
  }

  update(task) {
    const before = this.task;
    this.task = task;
    this.element.dataset.task = task.id;
    const title = task.prompt || t("noPrompt");
    setText(this.prompt, title);
    this.prompt.title = task.prompt;
    this.menu.setAttribute("aria-label", t("actionsOf", { prompt: title.slice(0, 60) }));
    setText(this.reason, task.reason);
    this.reason.hidden = !task.reason;
    if (before?.poster !== task.poster || before?.file?.filename !== task.file?.filename || !before) this.showThumbnail();
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
    this.showFacts(factsOf(task, progress, Date.now()));
    this.bar.hidden = !running;
    if (running) showBar(this.bar, progress);
  }

  /** A line may break between two facts only. */
  showFacts(facts) {
    if (this.facts.textContent === facts.join(" · ")) return;
    this.facts.replaceChildren(...facts.flatMap((fact, index) => [index ? " · " : "", h("span", {}, fact)]));
  }

  /** Say where in the list it is: not all of the list is in the document. */
  place(position, total) {
    this.element.setAttribute("aria-posinset", position);
    this.element.setAttribute("aria-setsize", total);
  }

  /** Offer to compare with this task while another one, `chosen`, is chosen for it; null if none is. */
  offerCompare(chosen) {
    this.compare.hidden = !chosen || !this.task.file || chosen.id === this.task.id;
    this.element.classList.toggle("wan27-chosen", chosen?.id === this.task.id);
  }

  showThumbnail() {
    const { task } = this;
    this.thumbnail.replaceChildren();
    this.poster = null;
    this.thumbnail.disabled = !task.file;
    const label = task.file ? `${t("play")}: ${task.prompt || task.task_id}` : t("firstFrame");
    this.thumbnail.setAttribute("aria-label", label);
    this.thumbnail.title = task.file ? t("play") : "";
    if (task.poster) {
      this.poster = h("img", { alt: "", loading: "lazy", decoding: "async", width: 96, height: 64, hidden: true });
      const { poster } = this;
      poster.addEventListener("error", () => poster.remove());
      this.thumbnail.append(this.poster);
    }
    this.thumbnail.append(h("i", { class: `pi ${task.file ? "pi-play" : "pi-image"}`, "aria-hidden": "true" }));
  }

  /** Request the poster. The list does this when it is not being scrolled. */
  showPoster() {
    if (!this.poster?.hidden) return;
    this.poster.hidden = false;
    this.poster.src = thumbnailUrl(this.task);
  }

  menuItems() {
    const { task, actions } = this;
    const progress = store.progress.get(task.task_id);
    const names = actionsOf(task, { progress, mayWrite: actions.mayWrite(), onCanvas: actions.isOnCanvas(task), now: Date.now() });
    return names.map((name) => ({
      name,
      icon: ICONS[name],
      text: t(`do_${name}`),
      act: () => actions[name]?.(this.task, this),
      link: name === "download" ? { href: videoUrl(task), download: task.file.filename } : undefined,
    }));
  }
}

function showBar(bar, progress) {
  bar.setAttribute("aria-label", t("state_submitted"));
  const share =
    progress?.state === "downloading" && progress.total_bytes
      ? (100 * progress.downloaded_bytes) / progress.total_bytes
      : progress?.percent;
  if (share) bar.value = share;
  else bar.removeAttribute("value");
}
