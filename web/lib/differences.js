// What two tasks were requested with, side by side. Without DOM.

import { money, t } from "./i18n.js";

const INPUTS = ["prompt", "negative_prompt", "seed", "resolution", "duration", "prompt_extend", "watermark"];
const MEDIA = ["image_url", "last_frame_url", "first_clip_url", "driving_audio_url"];
const NOTHING = "–";

/** Return [label, value of the first, value of the second] for each thing that differs. Tasks as GET /wan27/tasks/{id} has them. */
export function differences(first, second) {
  const [left, right] = [valuesOf(first), valuesOf(second)];
  return Object.keys(left)
    .filter((name) => left[name] !== right[name])
    .map((name) => [t(`field_${name}`), left[name], right[name]]);
}

function valuesOf(task) {
  const inputs = { ...task.inputs, seed: task.seed };
  return {
    ...Object.fromEntries(INPUTS.map((name) => [name, shown(inputs[name])])),
    // A short hash of the content: enough to see that it is another one.
    ...Object.fromEntries(MEDIA.map((name) => [name, inputs[name] ? `#${inputs[name].slice(0, 6)}` : NOTHING])),
    host: task.sandbox ? t("sandbox") : task.host,
    cost: task.sandbox || task.estimated_cost === null ? NOTHING : t("estimate", { cost: money(task.estimated_cost) }),
    seconds: task.seconds ? t("secondsLong", { seconds: Math.round(task.seconds * 10) / 10 }) : NOTHING,
    size: task.size ? task.size.join(" × ") : NOTHING,
  };
}

function shown(value) {
  if (value === undefined || value === null || value === "") return NOTHING;
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  return String(value);
}
