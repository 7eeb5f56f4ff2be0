// A dialog that plays a video from ComfyUI's own /view.

import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { videoUrl } from "./server.js";

export function play(task) {
  if (!task.file) return;
  const video = h("video", { src: videoUrl(task), controls: true, autoplay: true, loop: true, playsInline: true });
  const dialog = h(
    "dialog",
    { class: "wan27 wan27-player", "aria-label": t("videoOf", { task: task.task_id ?? "" }) },
    h("div", { class: "wan27-head" }, h("span", {}, task.prompt || task.task_id || ""), iconButton("pi-times", t("close"), () => dialog.close())),
    video,
  );
  // ComfyUI's shortcuts listen on the whole page: the space bar would play here and do something else there.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    video.pause();
    video.removeAttribute("src");
    video.load();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}
