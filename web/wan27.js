// Where the frontend begins to load this pack. Every other module here does nothing by itself.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyles } from "./lib/dom.js";
import { decorateSubmit, refreshSubmitNodes } from "./lib/node_submit.js";
import { useApi } from "./lib/server.js";
import { refreshStatus, startStore } from "./lib/store.js";
import { makeTab } from "./lib/tab.js";
import { useLanguage } from "./lib/text.js";
import { startToasts } from "./lib/toasts.js";

// Right away: a page that is loaded in the middle of a task hears of it before anything is set up.
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
    // What it previews is a video. Nodes 2.0 of older frontends guess by the inputs, and there is no VIDEO among them.
    if (node.comfyClass === "Wan27WaitForVideo") node.previewMediaType = "video";
  },

  afterConfigureGraph: refreshSubmitNodes,
});
