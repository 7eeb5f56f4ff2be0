// The task list: search, filters, live changes. It knows the ids of all tasks and has rows for those in sight only.

import { openCompare } from "./compare.js";
import { h, setText } from "./dom.js";
import { t } from "./i18n.js";
import { CHUNK, IdChunks } from "./id_chunks.js";
import { server } from "./server.js";
import { store, takeProgress, watch } from "./store.js";
import { totalsLine } from "./task_facts.js";
import { fits, isFiltered } from "./task_filter.js";
import { TaskRow } from "./task_row.js";

const TYPING_PAUSE = 200; // milliseconds
const FIRST_CHUNKS = 2; // are requested before the list is shown
const MOST = 200; // tasks in one request
const MARGIN = "800px 0px"; // rows are made this far outside of what is in sight
const FEW = 50; // changes of the list that leave its rows, the focus and the position as they are
const RELOAD_PAUSE = 1000; // milliseconds
const STILL = 150; // milliseconds without scrolling before posters are requested: each may have to be made from its video
const FIRST_DAY = "2024-01-01"; // while a year is typed, it is one of long ago
const GROUPS = { all: "filterAll", running: "filterRunning", saved: "filterSaved", failed: "filterFailed", removed: "filterRemoved" };

export class TaskList {
  /** `actions`: what the menu of a row does; see task_actions.js. */
  constructor(actions) {
    this.actions = { ...actions, compare: (task, row) => this.compare(task, row) };
    this.openExample = actions.openExample;
    this.list = new IdChunks([]);
    this.parts = new Map(); // the element of each chunk
    this.near = new Set(); // the chunks in sight, or almost
    this.tasks = new Map(); // by id, those that were needed so far
    this.rows = new Map(); // by id, those in the document
    this.missed = []; // [time, task] of what changed while the ids were requested
    this.changedAt = new Map(); // by id, when its last change arrived
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
    const onchange = () => this.load();
    this.group = h("select", { id: "wan27-filter", onchange }, ...Object.entries(GROUPS).map(([value, name]) => h("option", { value }, t(name))));
    this.host = h("select", { id: "wan27-host", onchange }, h("option", { value: "" }, t("filterHosts")));
    this.day = h("input", { id: "wan27-day", type: "date", min: FIRST_DAY, onchange: () => this.day.validity.valid && this.load() });
    this.shown = this.filter();
    this.showHosts();
    this.count = h("span", { class: "wan27-count", role: "status" });
    this.totals = h("p", { class: "wan27-note wan27-totals", hidden: true });
    this.choosing = h("div", { class: "wan27-choosing", role: "status" });
    this.items = h("div", { class: "wan27-list", role: "list", "aria-labelledby": "wan27-tasks" });
    this.note = h("p", { class: "wan27-note" });
    this.example = h("button", { type: "button", class: "wan27-button", onclick: () => this.openExample() }, t("openExample"));
    const label = (name, field) => [h("label", { for: field.id, class: "wan27-offscreen" }, t(name)), field];
    this.element = h(
      "section",
      { class: "wan27-tasks", "aria-labelledby": "wan27-tasks" },
      h("div", { class: "wan27-head" }, h("h2", { id: "wan27-tasks" }, t("tasks")), this.count),
      h(
        "div",
        { class: "wan27-filter" },
        ...label("search", this.search),
        ...label("filter", this.group),
        ...label("filterHost", this.host),
        ...label("filterDay", this.day),
      ),
      this.totals,
      this.choosing,
      this.note,
      this.example,
      this.items,
    );
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.chosen && this.choose(null));
  }

  showHosts() {
    const hosts = store.status?.hosts ?? [];
    if (this.host.options.length > 1 || !hosts.length) return;
    const choices = [...hosts, { name: "sandbox", title: t("sandbox") }];
    this.host.append(...choices.map(({ name, title }) => h("option", { value: name }, title)));
  }

  filter() {
    return { group: this.group.value, text: this.search.value.trim(), host: this.host.value, day: this.day.validity.valid ? this.day.value : "" };
  }

  // Loading ------------------------------------------------------------------------------------------------------------

  async load() {
    const asked = ++this.asked;
    const since = Date.now();
    this.reloading = clearTimeout(this.reloading);
    this.loading = true;
    if (!this.list.size) setText(this.note, t("loading"));
    this.example.hidden = true;
    const filter = this.filter();
    try {
      const { ids, totals } = await server.taskIds(filter);
      const { added } = this.list.changesTo(ids);
      const wanted = new Set([...ids.slice(0, FIRST_CHUNKS * CHUNK), ...(added.length <= FEW ? added : [])]);
      const first = await this.request([...wanted]);
      if (asked !== this.asked) return;
      this.loading = false;
      this.shown = filter;
      this.show(ids, first, since);
      setText(this.totals, totals.length ? t("totalsOfDay", { day: filter.day, totals: totalsLine(totals) }) : "");
      this.totals.hidden = !totals.length;
      for (const [at, task] of this.missed.splice(0)) if (at >= since) this.changed(task);
    } catch (error) {
      if (asked !== this.asked) return;
      this.loading = false;
      this.fail(error);
      for (const [, task] of this.missed.splice(0)) this.changed(task);
    }
  }

  /** Ask the server again for what only it knows: whether a text matches, and the totals of a day. */
  reloadSoon() {
    this.reloading ??= setTimeout(() => this.load(), RELOAD_PAUSE);
  }

  async request(ids) {
    return ids.length ? (await server.tasksOf(ids)).tasks : [];
  }

  /** Show a list of ids. If it is almost the one that is shown, rows and focus stay. `first`: tasks that were requested `since`. */
  show(ids, first, since) {
    this.tasks.clear();
    this.take(first, since);
    const { gone, added } = this.list.changesTo(ids);
    if (this.list.size && gone.length < this.list.size && gone.length + added.length <= FEW) {
      for (const id of gone) this.removeId(id);
      for (const id of added) if (this.tasks.has(id)) this.insertId(id);
      this.renumber();
    } else {
      this.replace(ids);
    }
    this.summary();
    this.fill();
  }

  replace(ids) {
    this.list = new IdChunks(ids);
    this.items.querySelector("[aria-expanded=true]")?.click(); // closes its menu
    this.observer?.disconnect();
    this.near.clear();
    this.rows.clear();
    this.parts = new Map(this.list.chunks.map((chunk) => [chunk, this.part(chunk)]));
    this.items.replaceChildren(...this.parts.values());
    for (const chunk of this.list.chunks.slice(0, FIRST_CHUNKS)) this.near.add(chunk);
    this.observe();
  }

  /** Watch which chunks come into sight. Only now is the list in the document, below the element that scrolls. */
  observe() {
    const root = this.element.closest(".wan27-tab");
    this.observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          // What was seen before a part was removed arrives after it.
          if (this.parts.has(target.chunk)) this.near[isIntersecting ? "add" : "delete"](target.chunk);
        }
        this.fill();
      },
      { root, rootMargin: MARGIN },
    );
    root.onscroll = () => this.showPostersSoon();
    for (const part of this.parts.values()) this.observer.observe(part);
  }

  /** Return the element of a chunk. As long as it is empty, it is as high as its rows probably are. */
  part(chunk) {
    const part = h("div", { class: "wan27-chunk", role: "presentation" });
    part.chunk = chunk;
    this.keepRoom(part);
    return part;
  }

  keepRoom(part) {
    part.style.setProperty("--wan27-rows", part.chunk.ids.length);
  }

  /** Make the rows of the chunks in sight, and drop the others. One request at a time: who scrolls fast skips most. */
  async fill() {
    for (const [chunk, part] of this.parts) if (!this.near.has(chunk)) this.dropRows(chunk, part);
    for (const chunk of this.near) this.makeRows(chunk, this.parts.get(chunk));
    if (this.filling) return;
    this.filling = true;
    try {
      for (let ids = this.unknown(); ids.length; ids = this.unknown()) {
        const since = Date.now();
        const tasks = await this.request(ids);
        // What changed meanwhile is known already, and newer than the answer may be.
        this.take(tasks.filter((task) => !(this.tasks.has(task.id) && this.changedAt.get(task.id) >= since)), since);
        const lost = ids.filter((id) => !this.tasks.has(id) && this.list.has(id)); // the ledger was replaced
        for (const id of lost) this.removeId(id);
        if (lost.length) this.renumber();
        for (const chunk of this.near) this.makeRows(chunk, this.parts.get(chunk));
      }
    } catch (error) {
      this.fail(error);
    }
    this.filling = false;
  }

  unknown() {
    return [...this.near].flatMap((chunk) => chunk.ids.filter((id) => !this.tasks.has(id))).slice(0, MOST);
  }

  makeRows(chunk, part) {
    if (part.childElementCount || !chunk.ids.every((id) => this.tasks.has(id))) return;
    part.replaceChildren(...chunk.ids.map((id) => this.row(id).element));
    part.style.removeProperty("height");
    this.number(chunk);
    this.showPostersSoon();
  }

  dropRows(chunk, part) {
    const isInUse = part.contains(document.activeElement) || part.querySelector("[aria-expanded=true]");
    if (!part.childElementCount || isInUse) return;
    part.style.height = `${part.offsetHeight}px`;
    part.replaceChildren();
    for (const id of chunk.ids) this.rows.delete(id);
  }

  row(id) {
    const row = new TaskRow(this.tasks.get(id), this.actions);
    this.rows.set(id, row);
    row.offerCompare(this.chosen);
    return row;
  }

  showPostersSoon() {
    clearTimeout(this.scrolling);
    this.scrolling = setTimeout(() => {
      for (const row of this.rows.values()) row.showPoster();
    }, STILL);
  }

  number(chunk) {
    const start = this.list.startOf(chunk);
    for (const [index, id] of chunk.ids.entries()) this.rows.get(id)?.place(start + index + 1, this.list.size);
  }

  /** Take tasks from an event, or from the answer to a request that was sent at `since`. */
  take(tasks, since) {
    for (const task of tasks) {
      if (task.group === "running") takeProgress(task.task_id, task.progress, since);
      else store.progress.delete(task.task_id);
      this.tasks.set(task.id, task);
      this.rows.get(task.id)?.update(task);
    }
    this.showPostersSoon();
  }

  summary() {
    const { size } = this.list;
    const filtered = isFiltered(this.shown);
    setText(this.count, t(size === 1 ? "count1" : "count", { count: size }));
    setText(this.note, size ? "" : t(filtered ? "emptyFilter" : "empty"));
    this.note.hidden = !this.note.textContent;
    this.example.hidden = Boolean(size || filtered);
  }

  fail(error) {
    this.note.hidden = false;
    this.note.replaceChildren(
      error.message || t("trouble"),
      " ",
      h("button", { type: "button", class: "wan27-button", onclick: () => this.load() }, t("retry")),
    );
  }

  // Changes ------------------------------------------------------------------------------------------------------------

  receive(kind, data) {
    if (kind === "status") this.showHosts();
    if (kind === "reconnected") this.load();
    if (kind === "progress") for (const row of this.rows.values()) if (row.task.task_id in data) row.tick();
    if (kind !== "tasks") return;
    for (const task of data.tasks) {
      this.changedAt.set(task.id, Date.now());
      if (this.loading) this.missed.push([Date.now(), task]);
      else this.changed(task);
    }
    if (this.shown.day) this.reloadSoon();
  }

  changed(task) {
    const isListed = this.list.has(task.id);
    const belongs = fits(task, this.shown);
    if (belongs && this.shown.text && !isListed) return this.reloadSoon();
    if (belongs) this.take([task]);
    if (isListed === belongs) return;
    if (belongs) this.insertId(task.id);
    else this.removeId(task.id);
    this.renumber();
  }

  insertId(id) {
    const chunk = this.list.insert(id);
    if (!this.parts.has(chunk)) {
      const part = this.part(chunk);
      this.parts = new Map([[chunk, part], ...this.parts]);
      this.items.prepend(part);
      if (this.observer) this.observer.observe(part);
      else this.observe();
    }
    const part = this.parts.get(chunk);
    this.keepRoom(part);
    if (part.childElementCount) part.insertBefore(this.row(id).element, part.children[chunk.ids.indexOf(id)] ?? null);
  }

  removeId(id) {
    const chunk = this.list.remove(id);
    const part = this.parts.get(chunk);
    const row = this.rows.get(id);
    if (row?.menu.getAttribute("aria-expanded") === "true") row.menu.click(); // closes its menu, which returns the focus
    if (row?.element.contains(document.activeElement)) this.moveFocus(row.element);
    row?.element.remove();
    this.rows.delete(id);
    this.tasks.delete(id);
    this.keepRoom(part);
    if (chunk.ids.length) return;
    this.observer.unobserve(part);
    this.near.delete(chunk);
    this.parts.delete(chunk);
    part.remove();
  }

  /** Move the focus from a row that is about to be removed to its neighbor. */
  moveFocus(element) {
    const all = [...this.items.querySelectorAll(".wan27-row")];
    const at = all.indexOf(element);
    const next = all[at + 1] ?? all[at - 1];
    (next?.querySelector("[aria-haspopup]") ?? this.search).focus();
  }

  renumber() {
    for (const [chunk, part] of this.parts) if (part.childElementCount) this.number(chunk);
    this.summary();
  }

  tick() {
    this.ticks = (this.ticks ?? 0) + 1;
    for (const row of this.rows.values()) if (this.ticks % 30 === 0 || row.task.group === "running") row.tick();
  }

  // Comparing ----------------------------------------------------------------------------------------------------------

  /** Choose the first of two tasks to compare, or compare with the one that is chosen. */
  compare(task, row) {
    const { chosen } = this;
    if (!chosen || chosen.id === task.id) return this.choose(chosen ? null : task);
    row.menu.focus(); // where the focus returns to
    this.choose(null);
    return openCompare(chosen, task);
  }

  choose(task) {
    this.chosen = task;
    const text = task && t("compareChoose", { prompt: (task.prompt || task.task_id).slice(0, 60) });
    const cancel = () => this.choose(null);
    this.choosing.replaceChildren(...(task ? [h("span", {}, text), h("button", { type: "button", class: "wan27-button", onclick: cancel }, t("dialogCancel"))] : []));
    for (const row of this.rows.values()) row.offerCompare(task);
  }

  destroy() {
    this.asked += 1;
    this.stop();
    clearInterval(this.ticking);
    for (const timer of [this.typing, this.reloading, this.scrolling]) clearTimeout(timer);
    this.observer?.disconnect();
  }
}
