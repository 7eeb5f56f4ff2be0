// One setting in the form: its label, its input, and where its value comes from.

import { h, setText } from "./dom.js";
import { t } from "./i18n.js";
import { choiceText, labelOf, shownValue } from "./settings_rules.js";

export class Field {
  /** `view`: the answer of GET /wan27/settings. `onRemove` is called when a stored secret is to be removed, or kept after all. */
  constructor(setting, view, onRemove) {
    this.setting = setting;
    this.removed = false;
    const id = `wan27-set-${setting.name.replaceAll(".", "-")}`;
    const fixed = setting.source === "environment" || (setting.kind === "secret" && !view.may_write);
    this.before = shownValue(setting.name, setting.value);
    this.input = setting.kind === "choice" ? this.select(id, view) : this.text(id);
    this.input.disabled = fixed;
    const note = setting.source === "environment" ? t("setFromEnvironment", { variable: setting.variable }) : "";
    if (note) this.input.setAttribute("aria-describedby", `${id}-note`);
    this.element = h(
      "div",
      { class: "wan27-field" },
      h("label", { for: id }, labelOf(setting.name)),
      this.input,
      setting.kind === "secret" && setting.source === "file" && view.may_write && this.removeButton(onRemove),
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
    const { name, kind, default: usual, source } = this.setting;
    const isSecret = kind === "secret";
    const stored = source && (isSecret || !this.before); // it is set, but not shown
    const field = h("input", {
      id,
      type: isSecret ? "password" : kind === "number" ? "number" : "text",
      // "off" is ignored for passwords; "new-password" keeps the browser from offering or keeping one.
      autocomplete: isSecret ? "new-password" : "off",
      spellcheck: false,
      value: this.before,
      placeholder: stored ? t("setStored") : shownValue(name, usual),
    });
    if (kind === "number") Object.assign(field, { min: "0", step: "any", inputMode: "decimal" });
    if (isSecret) field.setAttribute("data-1p-ignore", "");
    return field;
  }

  /** A secret is not shown, so it cannot be emptied by hand. It is removed with the other changes, when they are saved. */
  removeButton(onRemove) {
    const button = h("button", { type: "button", class: "wan27-link" });
    const show = () => {
      this.input.disabled = this.removed;
      this.input.placeholder = t(this.removed ? "setRemoved" : "setStored");
      setText(button, t(this.removed ? "setKeep" : "keyRemove"));
      button.setAttribute("aria-label", `${button.textContent}: ${labelOf(this.setting.name)}`);
    };
    button.addEventListener("click", () => {
      this.removed = !this.removed;
      this.input.value = "";
      show();
      onRemove();
    });
    show();
    return button;
  }

  get changed() {
    return this.removed || (!this.input.disabled && this.input.value.trim() !== this.before);
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
