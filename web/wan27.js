// Entry point: the frontend loads this module. The modules in lib/ do nothing until it calls them.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyles } from "./lib/dom.js";
import { FirstSteps } from "./lib/first_steps.js";
import { t, useLanguage } from "./lib/i18n.js";
import { growWithTexts } from "./lib/node_text.js";
import { makeRestorer } from "./lib/previews.js";
import { useApi } from "./lib/server.js";
import { SidebarTab } from "./lib/sidebar_tab.js";
import { refreshStatus, startStore } from "./lib/store.js";
import { decorateSubmit, refreshSubmitNodes } from "./lib/submit_widget.js";
import { startToasts } from "./lib/toasts.js";

// At once, before setup: a page that is loaded in the middle of a task must not miss its events.
useApi(api);
startStore(api);

const tab = new SidebarTab(app);
const restorePreviews = makeRestorer(app, api);
let firstSteps = null;

function refresh() {
  refreshSubmitNodes();
  firstSteps?.show();
}

app.registerExtension({
  name: "Wan27.Panel",

  setup() {
    useLanguage(() => app.extensionManager.setting.get("Comfy.Locale"));
    addStyles();
    refreshStatus();
    startToasts(app, tab);
    growWithTexts(app);
    app.extensionManager.registerSidebarTab(tab.registration);
    firstSteps = new FirstSteps(app, tab);
    api.addEventListener("graphChanged", refresh);
  },

  nodeCreated(node) {
    if (node.comfyClass === "Wan27ImageToVideo") decorateSubmit(node);
    // It previews a video. Nodes 2.0 of older frontends guess from the inputs, and none of them is a VIDEO.
    if (node.comfyClass === "Wan27WaitForVideo") node.previewMediaType = "video";
    queueMicrotask(refresh); // it is added to the graph after this
  },

  afterConfigureGraph() {
    refresh();
    restorePreviews();
  },

  /** The context menu of a node. That of Nodes 2.0 has such entries on newer frontends only. */
  getNodeMenuItems(node) {
    if (!node.comfyClass?.startsWith("Wan27")) return [];
    return [
      { content: t("menuExample"), callback: () => tab.ui.openExample() },
      { content: t("menuSettings"), callback: () => tab.ui.openSettings() },
    ];
  },
});
