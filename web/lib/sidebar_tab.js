// The sidebar tab.

import { putOnCanvas, showNode } from "./canvas.js";
import { Check } from "./check.js";
import { copyText, h } from "./dom.js";
import { Header } from "./header.js";
import { t } from "./i18n.js";
import { play } from "./player.js";
import { server } from "./server.js";
import { Settings } from "./settings.js";
import { store } from "./store.js";
import { TaskList } from "./task_list.js";

export const TAB_ID = "wan27";
const EXAMPLE = "first_and_last_frame"; // its images come with ComfyUI

/** Return the tab for the frontend's `registerSidebarTab`. */
export function makeTab(app) {
  let parts = [];
  const close = () => {
    for (const part of parts) part.destroy();
    parts = [];
    store.tabOpen = false;
  };
  return {
    id: TAB_ID,
    icon: "pi pi-video",
    title: t("tab"),
    tooltip: t("tabHint"),
    type: "custom",
    render(container) {
      close();
      store.tabOpen = true;
      const ui = {
        say: (text, severity = "success") => app.extensionManager.toast.add({ severity, summary: t("tab"), detail: text, life: 6000 }),
        confirm: (text) => app.extensionManager.dialog.confirm({ title: t("tab"), message: text }),
      };
      const settings = new Settings(ui);
      ui.openSettings = () => settings.openAtHost();
      const check = new Check();
      const header = new Header(ui);
      const list = new TaskList(actionsFor(app, ui));
      parts = [header, settings, check, list];
      const tab = { class: "wan27 wan27-tab", role: "region", "aria-label": t("tab") };
      container.replaceChildren(h("div", tab, ...parts.map((part) => part.element)));
    },
    destroy: close,
  };
}

function actionsFor(app, ui) {
  return {
    mayWrite: () => Boolean(store.status?.may_write),
    play,
    async copy(task) {
      await copyText(task.task_id);
      ui.say(t("copied"));
    },
    toCanvas(task) {
      putOnCanvas(app, task.task_id);
      ui.say(t("onCanvas"), "info");
    },
    async showNode(task) {
      if (showNode(app, task)) return;
      const workflow = task.prompt_id ? await server.workflowOf(task.prompt_id).catch(() => null) : null;
      if (!workflow) return ui.say(t("nodeGone"), "warn");
      await app.loadGraphData(workflow);
      showNode(app, task);
      return ui.say(t("nodeOpened"), "info");
    },
    async openExample() {
      try {
        await app.loadGraphData(await server.template(EXAMPLE), true, true, EXAMPLE);
        const { sandbox } = store.status?.connection ?? {};
        ui.say(t(sandbox ? "exampleSandbox" : "exampleBilled"), "info");
      } catch (error) {
        ui.say(error.message || t("trouble"), "error");
      }
    },
    async fetchAgain(task) {
      try {
        await server.fetchAgain(task.id);
        ui.say(t("fetching"), "info");
      } catch (error) {
        ui.say(error.message || t("trouble"), "error");
      }
    },
  };
}
