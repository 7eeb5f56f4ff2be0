// What the widget of Image to Video says about the cost of a video and the lengths of its texts.
//
// `state` of a node: {values: name → value, linked: names of linked inputs, given: names of the media fields that are set}.

import { money, t } from "./i18n.js";
import { counterLevel, countCharacters, estimate } from "./rules.js";

/** Return the line and its tooltip, as {text, detail}. `status`: as in the store, null if it is not known yet. */
export function costText(status, { values, linked, given }) {
  if (!status || status.problem) return { text: status?.problem ?? "", detail: "" };
  const { sandbox } = status.connection;
  const [least, most] = status.limits.clip_billed_seconds;
  const clip = given.has("first_clip_url") ? { seconds: null } : null; // its length shows only when it is uploaded
  // On the node one short line: each of these says the rest in the tooltip.
  const notes = sandbox ? [] : [clip && "OfClip", values("on_repeat") === "submit_again" && "Again"].filter(Boolean);
  const resolution = values("resolution");
  const seconds = Number(values("duration"));
  const what = ["duration", "resolution"].filter((name) => linked.has(name));
  const price = status.prices[resolution];
  const total = what.length ? null : estimate(seconds, resolution, status.prices, clip, [least, most]);
  const shown = {
    cost: total === null ? "?" : moneyRange(total),
    price: price === undefined ? "?" : money(price),
    seconds,
    what: what.join(", "),
    host: status.connection.name,
  };
  const suffix = `${sandbox ? "Sandbox" : ""}${what.length ? "Linked" : ""}`;
  const line = t(sandbox ? "costSandbox" : what.length ? "costLinked" : "costLine", shown);
  const more = notes.map((name) => t(`costDetail${name}`, { least, most }));
  return {
    text: [line, ...notes.map((name) => t(`cost${name}`))].join(" · "),
    detail: [t(`costDetail${suffix}`, shown), ...more].join("\n"),
  };
}

function moneyRange({ low, high }) {
  return low === high ? money(low) : t("costRange", { low: money(low), high: money(high) });
}

/** Return how much of a text's limit is used, as {text, level}. `limit`: undefined if it is not known yet. */
export function counterText(name, limit, { values, linked }) {
  if (linked.has(name)) return { text: t("counterLinked", { name }), level: "fine" };
  if (!limit) return { text: "", level: "fine" };
  const count = countCharacters(values(name));
  const level = counterLevel(count, limit);
  const rest = { near: t("counterNear", { left: limit - count }), over: t("counterOver", { over: count - limit }) }[level];
  return { text: t("counter", { name, count, limit }) + (rest ? ` (${rest})` : ""), level };
}
