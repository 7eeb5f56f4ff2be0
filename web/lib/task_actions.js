// What the menu of a task does. task_facts.js decides what it offers.

import { hasNode, putOnCanvas, showNode } from "./canvas.js";
import { copyText } from "./dom.js";
import { t } from "./i18n.js";
import { play } from "./player.js";
import { askRemoval } from "./remove_dialog.js";
import { server } from "./server.js";
import { store } from "./store.js";
import { amountOf } from "./task_facts.js";

/** `ui`: {say(text, severity), confirm(text) → promise of a boolean, openExample()}. */
export function taskActions(app, ui) {
  /** Ask the server for something and say what came of it. */
  async function tell(request, name, severity = "info") {
    try {
      await request;
      ui.say(t(name), severity);
    } catch (error) {
      ui.say(error.message || t("trouble"), "error");
    }
  }

  return {
    mayWrite: () => Boolean(store.status?.may_write),
    isOnCanvas: (task) => hasNode(app, task),
    openExample: ui.openExample,
    play,
    async copy(task) {
      await copyText(task.task_id);
      ui.say(t("copied"));
    },
    toCanvas(task) {
      putOnCanvas(app, task.task_id);
      ui.say(t("onCanvas"), "info");
    },
    showNode: (task) => showNode(app, task),
    async openWorkflow(task) {
      const workflow = await server.workflowOf(task).catch(() => null);
      if (!workflow) return ui.say(t("workflowGone"), "warn");
      try {
        // With a name it gets a tab of its own, and what is open stays open.
        await app.loadGraphData(workflow, true, true, `wan27 ${(task.task_id ?? String(task.id)).replace(/\W/g, "_")}`);
      } catch (error) {
        return ui.say(t("workflowBroken", { reason: error.message }), "error");
      }
      return showNode(app, task);
    },
    fetchAgain: (task) => tell(server.fetchAgain(task.id), "fetching"),
    async cancel(task) {
      const values = { host: task.host, amount: amountOf(task) };
      if (await ui.confirm(t(`cancelSure_${task.cancels}`, values))) await tell(server.cancel(task.id), "canceled");
    },
    async remove(task) {
      const answer = await askRemoval(task);
      if (answer) await tell(server.remove(task.id, answer.withFile), answer.withFile ? "removedWithFile" : "removed");
    },
    restore: (task) => tell(server.restore(task.id), "restored"),
  };
}
