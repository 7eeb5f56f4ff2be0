// The logic of the settings form without its elements: which settings are shown, and what they are called.

import { exactMoney, t } from "./i18n.js";

const RARE = ["session_token", "prefix", "addressing", "expires_hours", "file_field"];

/** Return the host whose settings are shown: the chosen one, with "auto" the one in use, undefined in the sandbox. */
export function shownHost(view, chosen, inUse) {
  const name = chosen === "auto" ? inUse : chosen;
  return view.hosts.find((one) => one.name === name);
}

/** Return the names of the settings to show, in their order, as {host, storage, rare, budget}. */
export function namesToShow(view, { host, kind, preset }) {
  const below = (start) => view.settings.map((one) => one.name).filter((name) => name.startsWith(start));
  const byPreset = preset && kind === "http";
  const storage = below(`storage.${kind}.`).filter((name) => !byPreset || isOpen(view, name, preset));
  return {
    host: ["connection", ...(host ? below(`${host.name}.`) : [])],
    storage: ["storage.kind", ...storage.filter((name) => !RARE.includes(leaf(name)))],
    rare: storage.filter((name) => RARE.includes(leaf(name))),
    budget: below("budget."),
  };
}

/** Return whether a preset leaves this setting open. A stored key is shown too: it must be removed before it goes elsewhere. */
function isOpen(view, name, preset) {
  const isStored = Boolean(view.settings.find((one) => one.name === name).source);
  return leaf(name) === "api_key" ? preset.needs_key || isStored : ["preset", "expires_hours"].includes(leaf(name));
}

function leaf(name) {
  return name.slice(name.lastIndexOf(".") + 1);
}

export function labelOf(name) {
  return name.includes(".price_per_second.") ? t("set_price", { resolution: leaf(name) }) : t(`set_${leaf(name)}`);
}

export function choiceText(name, value, view) {
  const named = { connection: view.hosts, "storage.http.preset": view.presets }[name]?.find((one) => one.name === value);
  if (named) return named.title;
  if (name === "storage.http.preset") return t("presetNone");
  if (name === "connection" || name === "storage.kind") return t(`${leaf(name)}_${value}`);
  return value;
}

/** Return a value or a default as the field shows it: USD with their cents. */
export function shownValue(name, value) {
  if (value === null || value === undefined || value === "") return "";
  const isMoney = name.includes(".price_per_second.") || name.endsWith("_usd");
  return isMoney && Number.isFinite(Number(value)) ? exactMoney(Number(value)) : String(value);
}

/** Return what a host offers, in one line. */
export function offerOf(host) {
  const parts = [
    host.upload_hours === null ? t("offerNoUpload") : t("offerUpload", { hours: Math.round(10 * host.upload_hours) / 10 }),
    host.reports_balance ? t("offerBalance") : t("offerNoBalance"),
    host.cancels && t(`offerCancel_${host.cancels}`),
  ];
  return parts.filter(Boolean).join(" · ");
}

/** Return what to say when settings were saved: where requests go now. */
export function savedText(status) {
  const { connection } = status ?? {};
  if (!connection) return t("setSaved");
  return `${t("setSaved")} ${connection.sandbox ? t("setSavedSandbox") : t("billedLine", { host: connection.host })}`;
}
