// The task list: search, filter, pages, live changes.

import { h, setText } from "./dom.js";
import { t } from "./i18n.js";
import { server } from "./server.js";
import { takeProgress, watch } from "./store.js";
import { TaskRow } from "./task_row.js";

const PAGE = 50;
const TYPING_PAUSE = 200; // milliseconds

export class TaskList {
  /** `actions`: what the buttons of a row do; see sidebar_tab.js. */
  constructor(actions) {
    this.actions = actions;
    this.rows = new Map();
    this.before = null;
    this.total = 0;
    this.asked = 0;
    this.build();
    this.stop = watch((kind, data) => this.receive(kind, data));
    this.ticking = setInterval(() => this.tick(), 1000);
    this.load();
  }

  build() {
    this.search = h("input", {
      id: "wan27-search",
      type: "search",
      placeholder: t("searchHint"),
      autocomplete: "off",
      oninput: () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.load(), TYPING_PAUSE);
      },
    });
    const choices = { all: "filterAll", running: "filterRunning", saved: "filterSaved", failed: "filterFailed" };
    this.filter = h(
      "select",
      { id: "wan27-filter", onchange: () => this.load() },
      ...Object.entries(choices).map(([value, name]) => h("option", { value }, t(name))),
    );
    this.count = h("span", { class: "wan27-count", role: "status" });
    this.items = h("ul", { class: "wan27-list", role: "list", "aria-labelledby": "wan27-tasks" });
    this.note = h("p", { class: "wan27-note" });
    this.example = h("button", { type: "button", class: "wan27-button", onclick: () => this.actions.openExample() }, t("openExample"));
    this.more = h("button", { type: "button", class: "wan27-button", onclick: () => this.loadMore() }, t("more"));
    this.element = h(
      "section",
      { class: "wan27-tasks", "aria-labelledby": "wan27-tasks" },
      h("div", { class: "wan27-head" }, h("h2", { id: "wan27-tasks" }, t("tasks")), this.count),
      h(
        "div",
        { class: "wan27-filter" },
        h("label", { for: "wan27-search", class: "wan27-offscreen" }, t("search")),
        this.search,
        h("label", { for: "wan27-filter", class: "wan27-offscreen" }, t("filter")),
        this.filter,
      ),
      this.items,
      this.note,
      this.example,
      this.more,
    );
    // Scrolling loads more, too; the button is for the keyboard.
    this.seen = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.loadMore());
    this.seen.observe(this.more);
  }

  async load() {
    const asked = ++this.asked;
    this.before = null;
    this.loading = true;
    this.more.hidden = true;
    this.example.hidden = true;
    if (!this.rows.size) setText(this.note, t("loading"));
    try {
      const page = await server.tasks(this.query());
      if (asked !== this.asked) return;
      const listed = new Set(page.tasks.map((task) => task.id));
      for (const id of [...this.rows.keys()]) if (!listed.has(id)) this.remove(id);
      this.take(page, this.items.firstElementChild);
    } catch (error) {
      if (asked === this.asked) this.fail(error);
    } finally {
      if (asked === this.asked) this.loading = false;
    }
  }

  async loadMore() {
    if (this.loading || this.before === null) return;
    const asked = this.asked;
    this.loading = true;
    try {
      const page = await server.tasks({ ...this.query(), before: this.before });
      if (asked === this.asked) this.take(page);
    } catch (error) {
      if (asked === this.asked) this.fail(error);
    } finally {
      if (asked === this.asked) this.loading = false;
    }
  }

  query() {
    return { group: this.filter.value, text: this.search.value.trim(), limit: PAGE };
  }

  /** Show a page before the element `next`, null for the end. Existing rows stay, and so does the focus in them. */
  take(page, next = null) {
    this.total = page.total;
    this.before = page.before;
    let at = next;
    for (const task of page.tasks) {
      takeProgress(task.task_id, task.progress);
      const row = this.rows.get(task.id);
      row?.update(task);
      const element = row?.element ?? this.add(task).element;
      if (element === at) at = at.nextElementSibling;
      else this.items.insertBefore(element, at);
    }
    this.summary();
  }

  remove(id) {
    this.rows.get(id).element.remove();
    this.rows.delete(id);
  }

  add(task) {
    const row = new TaskRow(task, this.actions);
    this.rows.set(task.id, row);
    return row;
  }

  summary() {
    const filtered = this.filter.value !== "all" || this.search.value.trim();
    setText(this.count, t(this.total === 1 ? "count1" : "count", { count: this.total }));
    setText(this.note, this.rows.size ? "" : t(filtered ? "emptyFilter" : "empty"));
    this.note.hidden = !this.note.textContent;
    this.example.hidden = Boolean(this.rows.size || filtered);
    this.more.hidden = this.before === null;
  }

  fail(error) {
    this.note.hidden = false;
    this.note.replaceChildren(
      error.message || t("trouble"),
      " ",
      h("button", { type: "button", class: "wan27-button", onclick: () => this.load() }, t("retry")),
    );
  }

  receive(kind, data) {
    if (kind === "reconnected") this.load();
    if (kind === "progress") for (const row of this.rows.values()) if (row.task.task_id in data) row.tick();
    if (kind === "tasks") for (const task of [...data.tasks].reverse()) this.changed(task);
  }

  changed(task) {
    takeProgress(task.task_id, task.progress);
    const row = this.rows.get(task.id);
    if (!this.fits(task)) {
      if (row) {
        this.remove(task.id);
        this.total -= 1;
      }
    } else if (row) {
      row.update(task);
    } else if (this.newest() < task.id) {
      this.items.prepend(this.add(task).element);
      this.total += 1;
    }
    this.summary();
  }

  fits(task) {
    const text = this.search.value.trim().toLowerCase();
    const found = [task.prompt, task.task_id, task.file?.filename].some((part) => part?.toLowerCase().includes(text));
    return ["all", task.group].includes(this.filter.value) && (!text || found);
  }

  newest() {
    return Number(this.items.firstElementChild?.dataset.task ?? 0);
  }

  tick() {
    this.ticks = (this.ticks ?? 0) + 1;
    for (const row of this.rows.values()) if (this.ticks % 30 === 0 || row.task.group === "running") row.tick();
  }

  destroy() {
    this.asked += 1;
    this.stop();
    clearInterval(this.ticking);
    clearTimeout(this.typing);
    this.seen.disconnect();
  }
}
