// The header of the tab: connection, storage, key, balance, today's spending, and the guide to real videos.

import { h, setText } from "./dom.js";
import { moment, money, t } from "./i18n.js";
import { server } from "./server.js";
import { refreshStatus, store, watch } from "./store.js";

const MANY_TASKS = 3; // from here on the guide is closed at first

export class Header {
  /** `ui`: {say(text, severity), confirm(text) → promise of a boolean, openSettings()}. */
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
    this.show();
    refreshStatus();
  }

  show() {
    const { status } = store;
    if (!status) return;
    if (this.element.contains(document.activeElement) && document.activeElement?.id === "wan27-key") return;
    const parts = status.problem ? [h("p", { class: "wan27-problem", role: "alert" }, status.problem)] : this.facts(status);
    this.guideOpen = this.guide?.open ?? this.guideOpen;
    this.guide = this.needsGuide(status) ? this.makeGuide(status) : null;
    this.element.replaceChildren(...parts, ...(this.guide ? [this.guide] : []));
    this.showSpending();
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
    this.keySpot = h("div", {});
    if (status.reports_balance) this.askBalance();
    const note = connection.note && h("p", { class: "wan27-note" }, connection.note);
    return [h("p", { class: "wan27-where" }, badge, line), note, list, this.compared, this.keySpot].filter(Boolean);
  }

  keyParts(key) {
    if (!key.present) return [t("keyNone")];
    const where = key.source === "environment" ? t("keyFromEnvironment", { variable: key.variable }) : t("keyFromFile");
    const parts = [`${key.last4 ? t("keyEnds", { last4: key.last4 }) : t("keySet")} (${where}) `];
    if (key.can_change) {
      parts.push(
        h("button", { type: "button", class: "wan27-link", onclick: () => this.openForm() }, t("keyChange")),
        " ",
        h("button", { type: "button", class: "wan27-link", onclick: () => this.removeKey() }, t("keyRemove")),
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
    return h("span", { class: "wan27-spending" }, this.spent, this.meter);
  }

  showSpending() {
    const { status } = store;
    if (!this.spent || !status || status.problem) return;
    const limit = status.budget.per_day_usd;
    setText(this.spent, t("spendingOf", { spent: money(status.spent_today_usd), limit: money(limit) }));
    this.meter.value = limit ? Math.min(1, status.spent_today_usd / limit) : 1;
  }

  makeGuide(status) {
    const { key } = status;
    const last = key.can_change
      ? [h("p", {}, t("guide3", { host: key.host })), this.keyForm()]
      : [h("p", {}, t("guide3Env")), h("pre", { tabIndex: 0 }, `export ${key.variable}=…`), h("p", { class: "wan27-note" }, t("guideRemote"))];
    const open = this.guideOpen ?? (status.tasks ?? 0) < MANY_TASKS;
    return h(
      "details",
      { class: "wan27-guide", open },
      h("summary", {}, t("guideTitle")),
      h("ol", {}, h("li", {}, t("guide1")), h("li", {}, t("guide2", { host: key.host })), h("li", {}, ...last)),
      h("button", { type: "button", class: "wan27-link", onclick: () => this.ui.openSettings() }, t("guideHosts")),
    );
  }

  openForm() {
    const form = this.keyForm(() => this.keySpot.replaceChildren());
    this.keySpot.replaceChildren(form);
    form.querySelector("input").focus();
  }

  /** The key goes from the field to the server and nowhere else. The field is emptied, also if the server refuses the key. */
  keyForm(onCancel = null) {
    // "off" is ignored for passwords; "new-password" keeps the browser from offering or keeping one.
    const field = h("input", { id: "wan27-key", type: "password", autocomplete: "new-password", spellcheck: false, required: true });
    field.setAttribute("data-1p-ignore", "");
    const message = h("p", { class: "wan27-problem", role: "alert", hidden: true });
    const save = h("button", { type: "submit", class: "wan27-button" }, t("keySave"));
    const form = h(
      "form",
      { class: "wan27-keyform", autocomplete: "off" },
      h("label", { for: "wan27-key" }, t("keyLabel")),
      field,
      save,
      onCancel && h("button", { type: "button", class: "wan27-button", onclick: onCancel }, t("cancel")),
      message,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const key = field.value;
      field.value = "";
      save.disabled = true;
      message.hidden = true;
      try {
        await server.storeKey(key);
        field.blur();
        this.guideOpen = undefined;
        await refreshStatus();
        this.ui.say(t(store.status?.connection?.sandbox ? "keyStoredSandbox" : "keyStored"));
      } catch (error) {
        setText(message, error.message || t("trouble"));
        message.hidden = false;
      }
      save.disabled = false;
    });
    return form;
  }

  async removeKey() {
    if (!(await this.ui.confirm(t("keyRemoveSure")))) return;
    try {
      await server.removeKey();
      await refreshStatus();
      this.ui.say(t("keyRemoved"));
    } catch (error) {
      this.ui.say(error.message || t("trouble"), "error");
    }
  }

  destroy() {
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
