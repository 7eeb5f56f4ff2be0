// Entry point: the frontend loads this module. The modules in lib/ do nothing until it calls them.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyles } from "./lib/dom.js";
import { useLanguage } from "./lib/i18n.js";
import { useApi } from "./lib/server.js";
import { makeTab } from "./lib/sidebar_tab.js";
import { refreshStatus, startStore } from "./lib/store.js";
import { decorateSubmit, refreshSubmitNodes } from "./lib/submit_widget.js";
import { startToasts } from "./lib/toasts.js";

// At once, before setup: a page that is loaded in the middle of a task must not miss its events.
useApi(api);
startStore(api);

app.registerExtension({
  name: "Wan27.Panel",

  setup() {
    useLanguage(() => app.extensionManager.setting.get("Comfy.Locale"));
    addStyles();
    refreshStatus();
    startToasts(app);
    app.extensionManager.registerSidebarTab(makeTab(app));
    api.addEventListener("graphChanged", refreshSubmitNodes);
  },

  nodeCreated(node) {
    if (node.comfyClass === "Wan27ImageToVideo") decorateSubmit(node);
    // It previews a video. Nodes 2.0 of older frontends guess from the inputs, and none of them is a VIDEO.
    if (node.comfyClass === "Wan27WaitForVideo") node.previewMediaType = "video";
  },

  afterConfigureGraph: refreshSubmitNodes,
});
