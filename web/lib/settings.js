// Settings in the tab: host, key, prices, storage and budget. On this machine they are saved; elsewhere they are shown to copy.

import { copyText, h, setText } from "./dom.js";
import { money, t } from "./i18n.js";
import { server } from "./server.js";
import { refreshStatus } from "./store.js";
import { toToml } from "./toml.js";

const RARE = ["session_token", "prefix", "addressing", "expires_hours", "file_field"];

export class Settings {
  /** `ui`: {say(text, severity)}. */
  constructor(ui) {
    this.ui = ui;
    this.form = h("form", { class: "wan27-settings", autocomplete: "off" });
    this.form.addEventListener("input", () => this.arrange());
    this.form.addEventListener("submit", (event) => this.save(event));
    this.element = h("details", { class: "wan27-section" }, h("summary", {}, t("settings")), this.form);
    this.element.addEventListener("toggle", () => this.element.open && !this.opening && this.load());
  }

  /** Open the section at the host. */
  async openAtHost() {
    this.opening = true; // its event comes later
    this.element.open = true;
    await this.load();
    this.opening = false;
    this.element.scrollIntoView({ block: "start" });
    this.fields?.get("connection").input.focus();
  }

  async load() {
    try {
      this.view = await server.settings();
    } catch (error) {
      this.form.replaceChildren(h("p", { class: "wan27-problem", role: "alert" }, error.message || t("trouble")));
      return;
    }
    this.fields = new Map(this.view.settings.map((setting) => [setting.name, new Field(setting, this.view)]));
    this.shown = "";
    this.message = h("p", { class: "wan27-problem", role: "alert", hidden: true });
    this.offer = h("p", { class: "wan27-note" });
    this.presetNote = h("p", { class: "wan27-note" });
    this.snippet = h("pre", { tabIndex: 0, "aria-label": t("setCopyTo", { file: this.view.file }) });
    this.end = this.view.may_write
      ? [h("button", { type: "submit", class: "wan27-button" }, t("setSave"))]
      : [
          h("p", { class: "wan27-note" }, t("setRemote", { file: this.view.file })),
          this.snippet,
          h("button", { type: "button", class: "wan27-button", onclick: () => this.copy() }, t("setCopy")),
        ];
    this.arrange();
  }

  /** Show the fields that belong to the chosen host and storage. Existing fields stay, and so does what was typed. */
  arrange() {
    const host = this.view.hosts.find((one) => one.name === this.value("connection"));
    const preset = this.view.presets.find((one) => one.name === this.value("storage.http.preset"));
    const kind = this.value("storage.kind");
    const names = this.storageNames(kind, preset);
    const wanted = JSON.stringify([host?.name, kind, preset?.name]);
    if (wanted !== this.shown) {
      this.shown = wanted;
      this.showOnly(host, names, preset);
    }
    if (!this.view.may_write) setText(this.snippet, toToml(this.changes()) || t("setNothing"));
  }

  storageNames(kind, preset) {
    const all = this.namesBelow(`storage.${kind}.`);
    if (kind !== "http") return all;
    const used = preset ? ["preset", ...(preset.needs_key ? ["api_key"] : []), "expires_hours"] : null;
    return all.filter((name) => !used || used.includes(leaf(name)));
  }

  namesBelow(start) {
    return [...this.fields.keys()].filter((name) => name.startsWith(start));
  }

  showOnly(host, storageNames, preset) {
    const focused = document.activeElement;
    const hostNames = host ? this.namesBelow(`${host.name}.`) : [];
    const rare = storageNames.filter((name) => RARE.includes(leaf(name)));
    const usual = storageNames.filter((name) => !rare.includes(name));
    const budget = this.namesBelow("budget.");
    this.visible = ["connection", ...hostNames, "storage.kind", ...storageNames, ...budget];
    const rows = (names) => names.map((name) => this.fields.get(name).element);
    setText(this.offer, host ? offerOf(host) : "");
    this.offer.hidden = !host;
    setText(this.presetNote, preset ? preset.limits : "");
    const keyPage = host && h("a", { class: "wan27-keypage", href: host.key_page, target: "_blank", rel: "noopener noreferrer" }, t("setGetKey", { host: host.title }));
    this.form.replaceChildren(
      group(t("setHost"), ...rows(["connection"]), this.offer, keyPage, ...rows(hostNames)),
      group(
        t("storage"),
        ...rows(["storage.kind", ...usual]),
        preset && this.presetNote,
        rare.length ? h("details", {}, h("summary", {}, t("setMore")), ...rows(rare)) : null,
      ),
      group(t("setBudget"), ...rows(budget)),
      this.message,
      ...this.end,
    );
    if (this.form.contains(focused)) focused.focus();
  }

  value(name) {
    const field = this.fields.get(name);
    return field.input.value || field.setting.default;
  }

  /** Return the visible settings that were changed, by name; null: back to the default. */
  changes() {
    const changed = this.visible.map((name) => [name, this.fields.get(name)]).filter(([, field]) => field.changed);
    const found = Object.fromEntries(changed.map(([name, field]) => [name, field.value]));
    if (!this.view.may_write) {
      // A key is not typed into a page that comes over the network: the text has a place for it.
      for (const name of this.visible) {
        const { setting } = this.fields.get(name);
        if (setting.kind === "secret" && !setting.source) found[name] = t("setPlaceOfKey");
      }
    }
    return found;
  }

  async save(event) {
    event.preventDefault();
    if (!this.view.may_write) return;
    const button = this.end[0];
    const changes = this.changes();
    button.disabled = true;
    this.message.hidden = true;
    try {
      if (Object.keys(changes).length) await server.saveSettings(changes);
      await this.load();
      await refreshStatus();
      this.ui.say(t("setSaved"));
    } catch (error) {
      setText(this.message, error.message || t("trouble"));
      this.message.hidden = false;
    }
    button.disabled = false;
    for (const field of this.fields.values()) field.forgetSecret();
  }

  async copy() {
    await copyText(this.snippet.textContent);
    this.ui.say(t("setCopied"));
  }

  destroy() {}
}

/** One setting: its label, its input, and where its value comes from. */
class Field {
  constructor(setting, view) {
    this.setting = setting;
    const id = `wan27-set-${setting.name.replaceAll(".", "-")}`;
    const fixed = setting.source === "environment" || (setting.kind === "secret" && !view.may_write);
    this.before = setting.value === null ? "" : String(setting.value);
    this.input = setting.kind === "choice" ? this.select(id, view) : this.text(id);
    this.input.disabled = fixed;
    const note = setting.source === "environment" ? t("setFromEnvironment", { variable: setting.variable }) : "";
    if (note) this.input.setAttribute("aria-describedby", `${id}-note`);
    this.element = h(
      "div",
      { class: "wan27-field" },
      h("label", { for: id }, labelOf(setting.name)),
      this.input,
      note && h("span", { id: `${id}-note`, class: "wan27-note" }, note),
    );
  }

  select(id, view) {
    const { options, default: usual } = this.setting;
    const all = usual === null ? ["", ...options] : options;
    const choices = all.map((value) => h("option", { value }, choiceText(this.setting.name, value, view)));
    const select = h("select", { id }, ...choices);
    if (usual !== null && !this.before) this.before = usual;
    select.value = this.before;
    return select;
  }

  text(id) {
    const { kind, default: usual, source } = this.setting;
    const isSecret = kind === "secret";
    const stored = source && (isSecret || !this.before); // it is set, but not shown
    const field = h("input", {
      id,
      type: isSecret ? "password" : kind === "number" ? "number" : "text",
      // "off" is ignored for passwords; "new-password" keeps the browser from offering or keeping one.
      autocomplete: isSecret ? "new-password" : "off",
      spellcheck: false,
      value: this.before,
      placeholder: stored ? t("setStored") : usual === null ? "" : String(usual),
    });
    if (kind === "number") Object.assign(field, { min: "0", step: "any", inputMode: "decimal" });
    if (isSecret) field.setAttribute("data-1p-ignore", "");
    return field;
  }

  get changed() {
    return !this.input.disabled && this.input.value.trim() !== this.before;
  }

  get value() {
    const text = this.input.value.trim();
    if (text === "") return null;
    return this.setting.kind === "number" ? Number(text) : text;
  }

  /** A secret does not stay in the page, also if the server refuses it. */
  forgetSecret() {
    if (this.setting.kind === "secret") this.input.value = "";
  }
}

function group(title, ...children) {
  return h("fieldset", { class: "wan27-group" }, h("legend", {}, title), ...children);
}

function leaf(name) {
  return name.slice(name.lastIndexOf(".") + 1);
}

function labelOf(name) {
  return name.includes(".price_per_second.") ? t("set_price", { resolution: leaf(name) }) : t(`set_${leaf(name)}`);
}

function choiceText(name, value, view) {
  const named = { connection: view.hosts, "storage.http.preset": view.presets }[name]?.find((one) => one.name === value);
  if (named) return named.title;
  if (name === "storage.http.preset") return t("presetNone");
  if (name === "connection" || name === "storage.kind") return t(`${leaf(name)}_${value}`);
  return value;
}

function offerOf(host) {
  const parts = [
    host.upload_hours === null ? t("offerNoUpload") : t("offerUpload", { hours: money(host.upload_hours).replace(/\.00$/, "") }),
    host.reports_balance ? t("offerBalance") : t("offerNoBalance"),
    host.cancels && t(`offerCancel_${host.cancels}`),
  ];
  return parts.filter(Boolean).join(" · ");
}
