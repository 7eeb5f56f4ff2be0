// The header of the tab: connection, storage, key, balance, today's spending, and the guide to real videos.

import { h, setText } from "./dom.js";
import { moment, money, t } from "./i18n.js";
import { server } from "./server.js";
import { refreshStatus, store, watch } from "./store.js";
import { totalsLine } from "./task_facts.js";

const MINUTE = 60_000; // milliseconds
const MANY_TASKS = 3; // from here on the guide is closed at first

export class Header {
  /** `ui`: {say(text, severity), confirm(text) → promise of a boolean, openSettings({atKey})}. */
  constructor(ui) {
    this.ui = ui;
    this.element = h("div", { class: "wan27-top" });
    this.stop = watch((kind, data) => {
      if (kind === "status") this.show();
      if (kind === "tasks") {
        this.showSpending();
        if (data.tasks.some((task) => task.state === "saved")) this.askBalance();
      }
    });
    // After midnight, nothing was spent today. The server may have another midnight than the browser.
    this.onVisible = () => !document.hidden && refreshStatus();
    document.addEventListener("visibilitychange", this.onVisible);
    let day = new Date().getDate();
    this.watchingDay = setInterval(() => {
      if (day === new Date().getDate()) return;
      day = new Date().getDate();
      refreshStatus();
    }, MINUTE);
    this.show();
    refreshStatus();
  }

  show() {
    const { status } = store;
    if (!status) return;
    const parts = status.problem ? [h("p", { class: "wan27-problem", role: "alert" }, status.problem)] : this.facts(status);
    this.guideOpen = this.guide?.open ?? this.guideOpen;
    this.guide = this.needsGuide(status) ? this.makeGuide(status) : null;
    const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
    this.element.replaceChildren(...parts, ...(this.guide ? [this.guide] : []));
    if (focused) this.restoreFocus(focused.textContent);
    this.showSpending();
  }

  /** Focus what replaced a focused element, else the first one. */
  restoreFocus(label) {
    const choices = [...this.element.querySelectorAll("button, summary")];
    (choices.find((one) => one.textContent === label) ?? choices[0])?.focus();
  }

  needsGuide(status) {
    return !status.key.present;
  }

  facts(status) {
    const { connection, key } = status;
    const badge = connection.sandbox && h("span", { class: "wan27-badge" }, t("sandbox"));
    const line = connection.sandbox ? t("sandboxLine") : t("billedLine", { host: connection.host });
    const list = h("dl", { class: "wan27-dl" });
    const row = (name, ...values) => list.append(h("dt", {}, name), h("dd", {}, ...values));
    row(t("storage"), { host: t("storageHost"), inline: t("storageInline") }[status.storage] ?? status.storage);
    row(t("key"), ...this.keyParts(key));
    this.balance = null;
    if (status.reports_balance) row(t("balance"), this.balancePart());
    row(t("spending"), this.spendingPart());
    this.compared = status.reports_balance ? h("div", { class: "wan27-note wan27-compared", hidden: true }) : null;
    if (status.reports_balance) this.askBalance();
    const note = connection.note && h("p", { class: "wan27-note" }, connection.note);
    return [h("p", { class: "wan27-where" }, badge, line), note, list, this.compared].filter(Boolean);
  }

  keyParts(key) {
    if (!key.present) return [t("keyNone")];
    const where = key.source === "environment" ? t("keyFromEnvironment", { variable: key.variable }) : t("keyFromFile");
    const parts = [`${key.last4 ? t("keyEnds", { last4: key.last4 }) : t("keySet")} (${where}) `];
    if (key.can_change) {
      parts.push(
        h("button", { type: "button", class: "wan27-link", onclick: () => this.ui.openSettings({ atKey: true }) }, t("keyChange")),
        " ",
        h("button", { type: "button", class: "wan27-link", onclick: () => this.removeKey(key.name) }, t("keyRemove")),
      );
    }
    return parts;
  }

  balancePart() {
    this.balance = h("span", { role: "status" });
    const button = h("button", { type: "button", class: "wan27-link" }, t("balanceAsk"));
    button.addEventListener("click", () => this.askBalance());
    return h("span", {}, this.balance, button);
  }

  /** The tab asks when it is opened and after each saved video; the server answers from its memory if that was just now. */
  async askBalance() {
    const { balance, compared } = this; // those of now: a new status replaces them
    if (!balance) return;
    try {
      const answer = await server.balance();
      if (answer.problem) throw new Error(answer.problem);
      const { available_usd: available, outstanding_usd: outstanding } = answer;
      const shown = { available: money(available), outstanding: money(outstanding) };
      setText(balance, `${t(outstanding ? "balanceOwed" : "balanceIs", shown)} `);
      setText(compared, comparison(answer.compared));
      compared.hidden = !compared.textContent;
    } catch (error) {
      compared.hidden = true;
      setText(balance, `${error.message || t("trouble")} `);
    }
  }

  spendingPart() {
    this.spent = h("span", {});
    this.meter = h("meter", { class: "wan27-meter", min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0, "aria-label": t("spendingBar") });
    this.totals = h("span", { class: "wan27-note" });
    return h("span", { class: "wan27-spending" }, this.spent, this.meter, this.totals);
  }

  showSpending() {
    const { status } = store;
    if (!this.spent || !status || status.problem) return;
    const limit = status.budget.per_day_usd;
    setText(this.spent, t("spendingOf", { spent: money(status.spent_today_usd), limit: money(limit) }));
    setText(this.totals, totalsLine(status.totals_today));
    this.meter.value = limit ? Math.min(1, status.spent_today_usd / limit) : 1;
  }

  /** The only field for a key is in the settings, below the host that it belongs to. */
  makeGuide(status) {
    const steps = ["guide1", "guide2", "guide3"].map((name) => h("li", {}, t(name)));
    return h(
      "details",
      { class: "wan27-guide", open: this.guideOpen ?? (status.all_tasks ?? 0) < MANY_TASKS },
      h("summary", {}, t("guideTitle")),
      h("ol", {}, ...steps),
      h("button", { type: "button", class: "wan27-button", onclick: () => this.ui.openSettings() }, t("hostAndKey")),
    );
  }

  async removeKey(host) {
    if (!(await this.ui.confirm(t("keyRemoveSure")))) return;
    try {
      await server.saveSettings({ [`${host}.api_key`]: null });
      await refreshStatus();
      this.ui.say(t("keyRemoved"));
    } catch (error) {
      this.ui.say(error.message || t("trouble"), "error");
    }
  }

  destroy() {
    document.removeEventListener("visibilitychange", this.onVisible);
    clearInterval(this.watchingDay);
    this.stop();
  }
}

/** Return the estimates beside the change of the balance, "" if there is nothing to compare. */
function comparison(compared) {
  if (!compared) return "";
  const { since, estimated_usd: estimated, fell_by_usd: fell } = compared;
  if (!estimated && !fell) return "";
  const values = { since: moment(since), estimated: money(estimated), change: money(Math.abs(fell)) };
  return t(fell < 0 ? "comparedRose" : "comparedFell", values);
}
