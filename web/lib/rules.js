// Cost, text lengths and valid combinations, by the same rules as the node. The server checks again; this shows it early.

export const MEDIA = ["image_url", "last_frame_url", "first_clip_url", "driving_audio_url"];

/** Return which combination a set of media fields makes: {ok, name, values} for `t(name, values)`. */
export function combination(fields) {
  const image = fields.has("image_url");
  const clip = fields.has("first_clip_url");
  const last = fields.has("last_frame_url");
  const audio = fields.has("driving_audio_url");
  if (image && clip) return { ok: false, name: "badBoth" };
  if (!image && !clip) {
    if (!last && !audio) return { ok: false, name: "badNone" };
    return { ok: false, name: "badNoneWith", values: { given: MEDIA.filter((field) => fields.has(field)).join(", ") } };
  }
  if (clip && audio) return { ok: false, name: "badAudio" };
  if (clip) return { ok: true, name: last ? "shape_clip_last" : "shape_clip" };
  return { ok: true, name: `shape_image${last ? "_last" : ""}${audio ? "_audio" : ""}` };
}

/** Count characters as the node does: code points, without what Python takes for white space around the text. */
export function countCharacters(text) {
  const asPythonSees = String(text ?? "").replace(/[\x1c-\x1f\x85]/g, " ").replaceAll("\ufeff", "-");
  return Array.from(asPythonSees.trim()).length;
}

/** Return "fine", "near" (more than 90 % used) or "over". */
export function counterLevel(count, limit) {
  if (count > limit) return "over";
  return count > limit * 0.9 ? "near" : "fine";
}

/**
 * Return the USD for one video as {low, high}, or null if duration or resolution are not known.
 *
 * `clip`: null without a clip, else {seconds}: its length, null if that is not known. Of a clip, `billed` ([least, most])
 * seconds may be billed on top. The same formula as `estimated_cost` in nodes/api/connection.py.
 */
export function estimate(duration, resolution, prices, clip, [least, most]) {
  const price = prices?.[resolution];
  if (price === undefined || !Number.isFinite(duration)) return null;
  const ofClip = clip ? Math.min(Math.max(clip.seconds ?? most, least), most) : 0;
  return { low: duration * price, high: (duration + ofClip) * price };
}
