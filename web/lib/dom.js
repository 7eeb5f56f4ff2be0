// DOM elements without a framework. Text is always set as text, never as markup: prompts and reasons are untrusted.

/** Create an element. `attributes`: class, aria-…, data-… as they are; on… as listeners; the rest as properties. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name.includes("-") || name === "role" || name === "for" || name === "list") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Create a button with an icon of the frontend's own icon font, and a label for screen readers. */
export function iconButton(icon, label, action, attributes = {}) {
  return h(
    "button",
    { type: "button", class: "wan27-icon", title: label, "aria-label": label, onclick: action, ...attributes },
    h("i", { class: `pi ${icon}`, "aria-hidden": "true" }),
  );
}

/** Set text only if it changed: a screen reader repeats a live region whenever it is written to. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Disable a button until `work` is done. A disabled button loses the focus, so it is returned. */
export async function whileDisabled(button, work) {
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
    if (hadFocus) button.focus();
  }
}

/** Load the stylesheet beside this folder, once. */
export function addStyles() {
  const href = new URL("../wan27.css", import.meta.url).href;
  if (!document.querySelector(`link[href="${href}"]`)) document.head.append(h("link", { rel: "stylesheet", href }));
}

/** Copy to the clipboard, also on a page opened over plain http, which has no clipboard API. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    const area = h("textarea", { value: text, readOnly: true, class: "wan27-offscreen" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
