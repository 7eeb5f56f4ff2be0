// The sidebar tab.

import { Check } from "./check.js";
import { h } from "./dom.js";
import { openExample } from "./example.js";
import { Header } from "./header.js";
import { t } from "./i18n.js";
import { Settings } from "./settings.js";
import { store } from "./store.js";
import { taskActions } from "./task_actions.js";
import { TaskList } from "./task_list.js";

const TAB_ID = "wan27";

export class SidebarTab {
  constructor(app) {
    this.app = app;
    this.parts = [];
    this.settings = null;
    this.onToggle = () => {};
    this.ui = {
      say: (text, severity = "success") => app.extensionManager.toast.add({ severity, summary: t("tab"), detail: text, life: 6000 }),
      confirm: (text) => app.extensionManager.dialog.confirm({ title: t("tab"), message: text }),
      openSettings: (at) => this.openSettings(at),
      openExample: () => openExample(app, this),
    };
  }

  /** For the frontend's `registerSidebarTab`. */
  get registration() {
    return {
      id: TAB_ID,
      icon: "pi pi-video",
      title: t("tab"),
      tooltip: t("tabHint"),
      type: "custom",
      render: (container) => this.render(container),
      destroy: () => this.destroy(),
    };
  }

  render(container) {
    this.destroy();
    store.tabOpen = true;
    const { ui } = this;
    this.settings = new Settings(ui);
    this.parts = [new Header(ui), this.settings, new Check(), new TaskList(taskActions(this.app, ui))];
    const tab = { class: "wan27 wan27-tab", role: "region", "aria-label": t("tab") };
    container.replaceChildren(h("div", tab, ...this.parts.map((part) => part.element)));
    container.addEventListener("keydown", keepFromShortcuts);
    if (this.wanted) this.openSettings(this.wanted);
    this.onToggle();
  }

  destroy() {
    for (const part of this.parts) part.destroy();
    this.parts = [];
    store.tabOpen = false;
    this.onToggle();
  }

  open() {
    if (!store.tabOpen) this.toggle();
  }

  close() {
    if (store.tabOpen) this.toggle();
  }

  toggle() {
    this.app.extensionManager.sidebarTab?.toggleSidebarTab?.(TAB_ID);
  }

  /** Open the settings; the tab first, which renders them later. `at`: see Settings.open. */
  openSettings(at = {}) {
    this.wanted = store.tabOpen ? null : at;
    if (store.tabOpen) this.settings.open(at);
    else this.open();
  }
}

/** A letter that is typed to choose from a list is not one of ComfyUI's shortcuts; it knows text fields only. */
function keepFromShortcuts(event) {
  const types = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (types && event.target.tagName === "SELECT") event.stopPropagation();
}
