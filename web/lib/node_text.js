// The text below a node's widgets. On the classic canvas the frontend gives it room for one line, whatever it says.

import { findNode } from "./canvas.js";
import { h } from "./dom.js";
import { listen } from "./server.js";

const WIDGET = "$$node-text-preview"; // the frontend's own
const MARGIN = 20; // pixels between the widget's height and that of its box
const PADDING = [32, 16]; // pixels inside the box, in both directions
const MOST = 200; // pixels; from here on the box scrolls

/** Give the texts of the pack's nodes the room that they need. */
export function growWithTexts(app) {
  // After the frontend has put the text into its widget.
  listen("progress_text", ({ nodeId, text }) => requestAnimationFrame(() => grow(findNode(app, nodeId)?.node, text)));
}

function grow(node, text) {
  const widget = node?.comfyClass?.startsWith("Wan27") && node.widgets?.find((one) => one.name === WIDGET);
  if (!widget?.options?.getMinHeight) return;
  const ruler = h("div", { class: "wan27-ruler" }, text);
  ruler.style.width = `${node.size[0] - MARGIN - PADDING[0]}px`;
  document.body.append(ruler);
  const needed = Math.min(ruler.offsetHeight + PADDING[1], MOST) + MARGIN;
  ruler.remove();
  const least = Math.max(needed, widget.options.getMinHeight());
  widget.options.getMinHeight = () => least; // it does not shrink again while a text changes
  makeRoom(node);
}

/** Make a node as high as its widgets need. */
export function makeRoom(node) {
  const [, least] = node.computeSize();
  if (node.size[1] < least) node.setSize([node.size[0], least]);
}
