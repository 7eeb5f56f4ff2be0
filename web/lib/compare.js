// A dialog with two videos side by side that play as one, and what differs between their tasks.

import { differences } from "./differences.js";
import { h, iconButton, setText } from "./dom.js";
import { t } from "./i18n.js";
import { server, videoUrl } from "./server.js";

const DRIFT = 0.08; // seconds between the two videos before one is moved
const STEP = 0.04; // seconds that an arrow key moves
const NAMES = ["A", "B"];

export function openCompare(first, second) {
  const tasks = [first, second];
  const videos = tasks.map((task) => h("video", { src: videoUrl(task), playsInline: true, preload: "auto", "aria-label": t("videoOf", { task: task.task_id }) }));
  const problem = h("p", { class: "wan27-problem", role: "alert", hidden: true });
  const pair = new Pair(videos, (index) => {
    setText(problem, t("compareNoVideo", { name: NAMES[index] }));
    problem.hidden = false;
  });
  const table = h("div", { class: "wan27-differences", role: "status" }, t("loading"));
  const dialog = h(
    "dialog",
    { class: "wan27 wan27-dialog wan27-compare", "aria-label": t("compareTitle") },
    h("div", { class: "wan27-head" }, h("h2", {}, t("compareTitle")), iconButton("pi-times", t("close"), () => dialog.close())),
    h("div", { class: "wan27-pair" }, ...tasks.map((task, index) => h("figure", {}, videos[index], h("figcaption", {}, soundButton(pair, index), NAMES[index])))),
    problem,
    pair.controls,
    table,
  );
  dialog.addEventListener("keydown", (event) => {
    event.stopPropagation(); // ComfyUI's shortcuts listen on the whole page
    if (event.key !== " " || event.target.closest("button")) return;
    event.preventDefault();
    pair.toggle();
  });
  dialog.addEventListener("close", () => {
    pair.destroy();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  pair.button.focus();
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) pair.play();
  showDifferences(table, tasks);
}

async function showDifferences(table, tasks) {
  try {
    const rows = differences(...(await Promise.all(tasks.map((task) => server.task(task.id)))));
    table.replaceChildren(rows.length ? tableOf(rows) : t("compareSame"));
  } catch (error) {
    setText(table, error.message || t("trouble"));
  }
}

function tableOf(rows) {
  const head = h("tr", {}, h("td", {}), h("th", { scope: "col" }, "A"), h("th", { scope: "col" }, "B"));
  const body = rows.map(([label, ...values]) => h("tr", {}, h("th", { scope: "row" }, label), ...values.map((value) => h("td", {}, value))));
  return h("table", {}, h("caption", {}, t("compareDiffer")), h("thead", {}, head), h("tbody", {}, ...body));
}

function soundButton(pair, index) {
  const label = t("soundOf", { name: NAMES[index] });
  const button = iconButton("pi-volume-off", label, () => pair.listenTo(pair.heard === index ? null : index), { "aria-pressed": "false" });
  pair.soundButtons.push(button);
  return button;
}

/** Two videos with one set of controls. The longer one sets the time; a shorter one waits at its end. */
class Pair {
  /** `onFailure(index)`: a video cannot be played. */
  constructor(videos, onFailure) {
    this.videos = videos;
    this.soundButtons = [];
    this.heard = null;
    this.playing = false;
    this.button = iconButton("pi-play", t("play"), () => this.toggle());
    this.slider = h("input", { type: "range", min: 0, max: 0, step: STEP, value: 0, "aria-label": t("position") });
    this.time = h("span", { class: "wan27-time" });
    this.controls = h("div", { class: "wan27-controls" }, this.button, this.slider, this.time);
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    for (const [index, video] of videos.entries()) {
      video.muted = true;
      video.addEventListener("error", () => video.hasAttribute("src") && onFailure(index));
      video.addEventListener("loadedmetadata", () => this.show());
      video.addEventListener("ended", () => video === this.longest && this.playing && this.restart());
    }
    this.show();
  }

  get longest() {
    const [first, second] = this.videos;
    return (second.duration || 0) > (first.duration || 0) ? second : first;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    this.setPlaying(true);
    if (this.longest.ended) this.seek(0);
    for (const video of this.videos) if (!video.ended) video.play().catch(() => this.pause());
    this.follow();
  }

  pause() {
    this.setPlaying(false);
    for (const video of this.videos) video.pause();
    this.seek(this.longest.currentTime);
  }

  restart() {
    this.seek(0);
    this.play();
  }

  seek(seconds) {
    for (const video of this.videos) video.currentTime = Math.min(seconds, video.duration || 0);
    this.show();
  }

  /** While they play: show the time, and bring the shorter one back if it has drifted away. */
  follow() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      if (!this.playing) return;
      const lead = this.longest;
      for (const video of this.videos) {
        const goal = Math.min(lead.currentTime, video.duration || 0);
        if (video === lead || video.seeking || lead.seeking) continue;
        if (Math.abs(video.currentTime - goal) > DRIFT) video.currentTime = goal;
        if (video.paused && !video.ended) video.play().catch(() => {}); // it had ended, and the time was moved back
      }
      this.show();
      this.follow();
    });
  }

  setPlaying(playing) {
    this.playing = playing;
    const label = t(playing ? "pause" : "play");
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
    this.button.firstElementChild.className = `pi ${playing ? "pi-pause" : "pi-play"}`;
  }

  /** Let one of them be heard, or none: index or null. */
  listenTo(index) {
    this.heard = index;
    for (const [each, video] of this.videos.entries()) {
      video.muted = each !== index;
      this.soundButtons[each].setAttribute("aria-pressed", String(each === index));
      this.soundButtons[each].firstElementChild.className = `pi ${each === index ? "pi-volume-up" : "pi-volume-off"}`;
    }
  }

  show() {
    const { currentTime, duration } = this.longest;
    this.slider.max = duration || 0;
    this.slider.value = currentTime;
    const text = `${currentTime.toFixed(1)} / ${(duration || 0).toFixed(1)} s`;
    this.slider.setAttribute("aria-valuetext", text);
    setText(this.time, text);
  }

  destroy() {
    this.setPlaying(false);
    cancelAnimationFrame(this.frame);
    for (const video of this.videos) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
  }
}
