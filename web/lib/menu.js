// A menu below a button, in the look of the frontend's own. It closes with Escape, a click elsewhere, or by scrolling.

import { h, iconButton } from "./dom.js";

const EDGE = 8; // pixels to the edge of the window

/** Create a button that opens a menu. `items()` returns [{name, icon, text, act, link: attributes of a link, or undefined}]. */
export function menuButton(icon, label, items) {
  const button = iconButton(icon, label, open, { "aria-haspopup": "menu", "aria-expanded": "false" });
  function open(event) {
    if (button.getAttribute("aria-expanded") === "true") return; // the browser closes it, as its popoverTargetElement
    event.preventDefault();
    show(button, items());
  }
  return button;
}

function show(button, items) {
  const menu = h("div", { class: "wan27 wan27-menu", popover: "auto", role: "menu", "aria-label": button.getAttribute("aria-label") });
  const close = () => {
    menu.hidePopover();
    button.focus();
  };
  const from = button.getBoundingClientRect();
  const onScroll = () => button.getBoundingClientRect().top !== from.top && menu.hidePopover();
  menu.append(...items.map((item) => entry(item, close)));
  menu.addEventListener("keydown", (event) => {
    event.stopPropagation(); // ComfyUI's shortcuts listen on the whole page
    if (event.key === "Tab") close();
    const next = nextEntry([...menu.children], event);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  menu.addEventListener("beforetoggle", (event) => {
    const open = event.newState === "open";
    button.setAttribute("aria-expanded", String(open));
    document[open ? "addEventListener" : "removeEventListener"]("scroll", onScroll, true);
  });
  menu.addEventListener("toggle", (event) => event.newState === "closed" && menu.remove());
  document.body.append(menu);
  button.popoverTargetElement = menu;
  button.popoverTargetAction = "hide";
  menu.showPopover();
  place(menu, from);
  menu.firstElementChild?.focus();
}

function entry({ name, icon, text, act, link }, close) {
  const onclick = () => {
    close();
    act?.();
  };
  const attributes = { role: "menuitem", tabIndex: -1, "data-action": name, onclick };
  return h(link ? "a" : "button", { ...(link ?? { type: "button" }), ...attributes }, h("i", { class: `pi ${icon}`, "aria-hidden": "true" }), text);
}

function nextEntry(entries, { key, ctrlKey, metaKey }) {
  const at = entries.indexOf(document.activeElement);
  const goal = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[key];
  if (goal !== undefined) return entries.at(goal % entries.length);
  if (key.length !== 1 || key === " " || ctrlKey || metaKey) return null;
  const starts = (one) => one.textContent.toLowerCase().startsWith(key.toLowerCase());
  return entries.slice(at + 1).find(starts) ?? entries.find(starts);
}

/** Put the menu below the button, or above it if there is more room. */
function place(menu, { left, right, top, bottom }) {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = bottom + height + EDGE <= window.innerHeight || top < window.innerHeight / 2;
  const y = below ? Math.min(bottom, window.innerHeight - height - EDGE) : top - height;
  const x = right - width < EDGE ? left : right - width;
  menu.style.left = `${Math.max(EDGE, Math.min(x, window.innerWidth - width - EDGE))}px`;
  menu.style.top = `${Math.max(EDGE, y)}px`;
}
