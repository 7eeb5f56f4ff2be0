// Settings in the tab: host, key, prices, storage and budget. On this machine they are saved; elsewhere they are shown to copy.

import { copyText, h, setText } from "./dom.js";
import { t } from "./i18n.js";
import { server } from "./server.js";
import { Field } from "./settings_field.js";
import { namesToShow, offerOf, savedText, shownHost } from "./settings_rules.js";
import { refreshStatus, store } from "./store.js";
import { toToml } from "./toml.js";

export class Settings {
  /** `ui`: {say(text, severity)}. */
  constructor(ui) {
    this.ui = ui;
    this.form = h("form", { class: "wan27-settings", autocomplete: "off" });
    this.form.addEventListener("input", () => this.arrange());
    this.form.addEventListener("submit", (event) => this.save(event));
    this.heading = h("summary", {}, t("settings"));
    this.element = h("details", { class: "wan27-section" }, this.heading, this.form);
    this.element.addEventListener("toggle", () => this.element.open && !this.opening && this.load());
    this.saveButton = h("button", { type: "submit", class: "wan27-button" }, t("setSave"));
  }

  /** Open the section and put the focus on the host, or on the key of the host in use. */
  async open({ atKey = false } = {}) {
    this.opening = true; // its event comes later
    this.element.open = true;
    await this.load();
    this.opening = false;
    this.element.scrollIntoView({ block: "start" });
    const names = [...(atKey && this.host ? [`${this.host.name}.api_key`] : []), "connection"];
    const inputs = names.map((name) => this.fields?.get(name)?.input);
    (inputs.find((input) => input && !input.disabled) ?? this.heading).focus();
  }

  async load() {
    try {
      this.view = await server.settings();
    } catch (error) {
      this.form.replaceChildren(h("p", { class: "wan27-problem", role: "alert" }, error.message || t("trouble")));
      return;
    }
    const redraw = () => this.arrange();
    this.fields = new Map(this.view.settings.map((setting) => [setting.name, new Field(setting, this.view, redraw)]));
    this.shown = "";
    this.message = h("p", { class: "wan27-problem", role: "alert", hidden: true });
    this.offer = h("p", { class: "wan27-note" });
    this.publicNote = h("p", { class: "wan27-warning" });
    this.presetNote = h("p", { class: "wan27-note" });
    this.snippet = h("pre", { tabIndex: 0, "aria-label": t("setCopyTo", { file: this.view.file }) });
    this.end = this.view.may_write
      ? [this.saveButton]
      : [
          h("p", { class: "wan27-note" }, t("setRemote", { file: this.view.file })),
          this.snippet,
          h("button", { type: "button", class: "wan27-button", onclick: () => this.copy() }, t("setCopy")),
        ];
    this.arrange();
  }

  /** Show the fields that belong to the chosen host and storage. Existing fields stay, and so does what was typed. */
  arrange() {
    const kind = this.value("storage.kind");
    const preset = this.view.presets.find((one) => one.name === this.value("storage.http.preset"));
    this.host = shownHost(this.view, this.value("connection"), store.status?.connection?.name);
    const wanted = JSON.stringify([this.value("connection"), this.host?.name, kind, preset?.name]);
    if (wanted !== this.shown) {
      this.shown = wanted;
      this.showOnly(kind, preset);
    }
    if (!this.view.may_write) setText(this.snippet, toToml(this.changes()) || t("setNothing"));
  }

  showOnly(kind, preset) {
    const { host } = this;
    const focused = document.activeElement;
    const names = namesToShow(this.view, { host, kind, preset });
    this.visible = Object.values(names).flat();
    const rows = (some) => some.map((name) => this.fields.get(name).element);
    const [connection, ...ofHost] = names.host;
    setText(this.offer, host ? offerOf(host) : this.value("connection") === "auto" ? t("setChooseHost") : "");
    this.offer.hidden = !this.offer.textContent;
    const isPublic = kind === "http" ? preset?.public : kind === "auto" && host?.public_uploads;
    setText(this.publicNote, isPublic ? t("setPublic") : "");
    this.publicNote.hidden = !isPublic;
    setText(this.presetNote, preset ? preset.limits : "");
    const keyPage = host && h("a", { class: "wan27-keypage", href: host.key_page, target: "_blank", rel: "noopener noreferrer" }, t("setGetKey", { host: host.title }));
    this.form.replaceChildren(
      group(t("setHost"), ...rows([connection]), this.offer, kind === "auto" && this.publicNote, keyPage, ...rows(ofHost)),
      group(
        t("storage"),
        ...rows(names.storage),
        preset && this.presetNote,
        kind !== "auto" && this.publicNote,
        names.rare.length ? h("details", {}, h("summary", {}, t("setMore")), ...rows(names.rare)) : null,
      ),
      group(t("setBudget"), ...rows(names.budget)),
      this.message,
      ...this.end,
    );
    if (this.form.contains(focused)) focused.focus();
  }

  value(name) {
    const field = this.fields.get(name);
    return field.input.value || field.setting.default;
  }

  /** Return what was changed of the visible settings, by name, and each secret to remove; null: back to the default. */
  changes() {
    const counts = ([name, field]) => field.removed || (field.changed && this.visible.includes(name));
    const changed = [...this.fields].filter(counts);
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
    const changes = this.changes();
    this.saveButton.disabled = true;
    this.message.hidden = true;
    try {
      if (Object.keys(changes).length) await server.saveSettings(changes);
      await refreshStatus();
      await this.load();
      this.ui.say(savedText(store.status));
    } catch (error) {
      setText(this.message, error.message || t("trouble"));
      this.message.hidden = false;
    }
    for (const field of this.fields.values()) field.forgetSecret();
    this.saveButton.disabled = false;
    this.saveButton.focus(); // the field or the button that had the focus was replaced or disabled
  }

  async copy() {
    await copyText(this.snippet.textContent);
    this.ui.say(t("setCopied"));
  }

  destroy() {}
}

function group(title, ...children) {
  return h("fieldset", { class: "wan27-group" }, h("legend", {}, title), ...children);
}
