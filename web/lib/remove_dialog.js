// Asks before a task is taken off the list, and says what that means for its video and its money.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { amountOf } from "./task_facts.js";

const SAID = {
  intent: "removeRunning",
  submitted: "removeRunning",
  succeeded: "removeRunning",
  saved: "removeSaved",
  missing: "removeMissing",
  unknown: "removeUnknown",
};

/** Return what the removal means, and of what to be warned, as {meaning, warning}. */
export function removalTexts(task, withFile) {
  if (!withFile) return { meaning: t(SAID[task.state]), warning: "" };
  const warning = t(task.sandbox ? "removeFileFree" : "removeFilePaid", { amount: amountOf(task) });
  return { meaning: t("removeWithFile"), warning };
}

/** Return a promise of {withFile}, or of null if the user keeps the task. A task that loses nothing is not asked about. */
export function askRemoval(task) {
  if (!SAID[task.state]) return Promise.resolve({ withFile: false });
  return new Promise((resolve) => {
    const file = task.file && h("input", { id: "wan27-remove-file", type: "checkbox" });
    const path = task.file && `output/${[task.file.subfolder, task.file.filename].filter(Boolean).join("/")}`;
    const meaning = h("p", {});
    const warning = h("p", { class: "wan27-problem", role: "alert" });
    const explain = () => {
      const texts = removalTexts(task, Boolean(file?.checked));
      meaning.textContent = texts.meaning;
      warning.textContent = texts.warning;
    };
    file?.addEventListener("change", explain);
    explain();
    const close = (value) => () => dialog.close(value);
    const dialog = h(
      "dialog",
      { class: "wan27 wan27-dialog", "aria-labelledby": "wan27-remove-title" },
      h("h2", { id: "wan27-remove-title" }, t("removeTitle")),
      h("p", {}, task.prompt || task.task_id || ""),
      meaning,
      file && h("label", { class: "wan27-check" }, file, t("removeFile", { file: path })),
      warning,
      h(
        "div",
        { class: "wan27-dialog-buttons" },
        h("button", { type: "button", class: "wan27-button", onclick: close("") }, t("dialogCancel")),
        h("button", { type: "button", class: "wan27-button", onclick: close("remove") }, t("removeDo")),
      ),
    );
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "remove" ? { withFile: Boolean(file?.checked) } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
