// How long a running task still takes. The same rule as `Progress.left_seconds` in nodes/runner, so that the tab and the
// node say the same; it counts on between two reports, without asking anyone.

import { t } from "./i18n.js";

const MINUTES_FROM = 90; // seconds; from here on the time left is shown in minutes

/** Return the seconds that a task probably still takes, `since` seconds after this progress; null if it is not known. */
export function secondsLeft(progress, since) {
  if (progress.state === "downloading") return null;
  if (progress.eta_seconds) return Math.max(0, progress.eta_seconds - since);
  if (!progress.usual_seconds) return null;
  const [p50, p90] = progress.usual_seconds;
  const elapsed = progress.seconds + since;
  return Math.max(p50 - elapsed, (p90 - elapsed) / 2, 0);
}

export function leftText(seconds) {
  if (seconds < 1) return t("leftLonger");
  if (seconds < MINUTES_FROM) return t("leftSeconds", { seconds: Math.ceil(seconds) });
  return t("leftMinutes", { minutes: Math.round(seconds / 60) });
}
