// The check in the tab: one line for each part, as its answer arrives. It costs nothing.

import { h, setText, whileDisabled } from "./dom.js";
import { t } from "./i18n.js";
import { server } from "./server.js";
import { store, watch } from "./store.js";

export class Check {
  constructor() {
    this.button = h("button", { type: "button", class: "wan27-button", onclick: () => this.run() }, t("checkRun"));
    this.remote = h("p", { class: "wan27-note" }, t("checkRemote"));
    this.summary = h("p", { role: "status" });
    this.items = h("ul", { class: "wan27-findings", role: "list" });
    this.element = h(
      "details",
      { class: "wan27-section" },
      h("summary", {}, t("check")),
      h("p", { class: "wan27-note" }, t("checkFree")),
      this.button,
      this.remote,
      this.summary,
      this.items,
    );
    this.stop = watch((kind) => kind === "status" && this.show());
    this.show();
  }

  show() {
    const mayRun = Boolean(store.status?.may_write);
    this.button.hidden = !mayRun;
    this.remote.hidden = mayRun || !store.status;
  }

  run() {
    return whileDisabled(this.button, async () => {
      const { checks } = await server.settings().catch(() => ({ checks: ["settings"] })); // a file that cannot be read
      this.items.replaceChildren();
      let done = 0;
      setText(this.summary, t("checkProgress", { done, all: checks.length }));
      const found = await Promise.all(
        checks.map(async (part) => {
          const line = h("li", { "data-part": part });
          line.append(...lineOf(part, "waiting", t("checkRunning")));
          this.items.append(line);
          const finding = await server.check(part).catch((error) => ({ ok: false, text: error.message || t("trouble"), setting: "" }));
          line.replaceChildren(...lineOf(part, finding.ok ? "ok" : "bad", finding.text, finding.setting));
          done += 1;
          setText(this.summary, t("checkProgress", { done, all: checks.length }));
          return finding.ok;
        }),
      );
      const bad = found.filter((ok) => !ok).length;
      setText(this.summary, bad ? t("checkBad", { bad, all: found.length }) : t("checkGood"));
    });
  }

  destroy() {
    this.stop();
  }
}

function lineOf(part, level, text, wayOut = "") {
  const icon = { waiting: "pi-spinner", ok: "pi-check", bad: "pi-times" }[level];
  return [
    h("i", { class: `pi ${icon}`, "aria-hidden": "true" }),
    h(
      "div",
      {},
      h("strong", { class: "wan27-state", "data-level": level }, `${t(`check_${part}`)}: ${t(`checkLevel_${level}`)}`),
      h("span", {}, text),
      wayOut && h("span", { class: "wan27-wayout" }, `→ ${wayOut}`),
    ),
  ];
}
