// The example that a newcomer opens: the one of the pack that needs nothing but two images.

import { fitGraph, freeArea } from "./canvas.js";
import { t } from "./i18n.js";
import { server } from "./server.js";
import { store } from "./store.js";

const EXAMPLE = "first_and_last_frame"; // its images come with ComfyUI
const LEAST_WIDTH = 480; // pixels

/** Open the example, in full view and ready to run. In a narrow window the tab closes, as it would cover the graph. */
export async function openExample(app, tab) {
  try {
    const [workflow, images] = await Promise.all([server.example(EXAMPLE), server.inputImages()]);
    const ready = useImages(workflow, images);
    await app.loadGraphData(workflow, true, true, EXAMPLE);
    await frameDrawn(); // the frontend moves the view itself after it has loaded a graph
    if (freeArea(app).width < LEAST_WIDTH) {
      tab.close();
      await frameDrawn();
    }
    fitGraph(app);
    const { sandbox } = store.status?.connection ?? {};
    tab.ui.say(t(ready ? (sandbox ? "exampleSandbox" : "exampleBilled") : "exampleNoImage"), "info");
  } catch (error) {
    tab.ui.say(error.message || t("trouble"), "error");
  }
}

/** Name images that exist in the workflow's Load Image nodes; return false if there are none. */
export function useImages(workflow, images) {
  for (const node of workflow.nodes) {
    if (node.type !== "LoadImage" || images.includes(node.widgets_values[0])) continue;
    if (!images.length) return false;
    node.widgets_values[0] = images[0];
  }
  return true;
}

/** Wait until what was changed is on the screen. */
async function frameDrawn() {
  for (let drawn = 0; drawn < 2; drawn += 1) await new Promise(requestAnimationFrame);
}
