"""Wan 2.7 Decode Video: from a file to frames and sound."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .comfy.prompt_graph import outputs_in_use
from .comfy.runtime import Job, executing_node_id, in_thread, show_text
from .image_to_video import CATEGORY

if TYPE_CHECKING:
    from .media.decode.decode import Decoded, DecodeOptions

log = logging.getLogger(__name__)

IMAGES, AUDIO, FPS, FRAME_COUNT, LAST_FRAME = range(5)


class Wan27DecodeVideo(io.ComfyNode):
    """Any VIDEO to IMAGE and AUDIO, only as much of it as the graph uses."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27DecodeVideo",
            display_name="Wan 2.7 Decode Video",
            category=CATEGORY,
            description=(
                "Turns a video into frames and sound. Only outputs that are linked are decoded, and only the part "
                "asked for takes memory."
            ),
            inputs=[
                io.Video.Input("video", tooltip="Any video, for instance that of Wan 2.7 Wait for Video."),
                io.Float.Input(
                    "start_time",
                    default=0.0,
                    min=0.0,
                    max=86400.0,
                    step=0.01,
                    tooltip="Seconds to leave out at the start. The sound starts there too.",
                ),
                io.Float.Input(
                    "duration",
                    default=0.0,
                    min=0.0,
                    max=86400.0,
                    step=0.01,
                    tooltip="Seconds to give out, frames and sound. 0 is to the end.",
                ),
                io.Int.Input(
                    "every_nth",
                    default=1,
                    min=1,
                    max=1000,
                    tooltip="Give out only every n-th frame, beginning with the first. fps becomes that much smaller.",
                ),
                io.Int.Input(
                    "max_frames",
                    default=0,
                    min=0,
                    max=1_000_000,
                    tooltip="Stop after this many frames, and cut the sound there. 0 is all.",
                ),
                io.Int.Input(
                    "max_side",
                    default=0,
                    min=0,
                    max=16384,
                    tooltip="Scale frames down until the longer side has this many pixels. 0 leaves them as they are.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "images", display_name="images", tooltip="The frames, RGB. Not decoded when nothing is linked here."
                ),
                io.Audio.Output(
                    "audio",
                    display_name="audio",
                    tooltip="The sound of the same part; silence of that length when the video has none.",
                ),
                io.Float.Output(
                    "fps",
                    display_name="fps",
                    tooltip="Frames a second at which the frames given out play, every_nth counted in.",
                ),
                io.Int.Output("frame_count", display_name="frame_count", tooltip="How many frames are given out."),
                io.Image.Output(
                    "last_frame",
                    display_name="last_frame",
                    tooltip="The last of the frames, say as the first frame of a next video. Alone it is quick.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """Run again when an output was linked that the cached result does not have."""
        return " ".join(name for name, wanted in _wanted().items() if wanted)

    @classmethod
    async def execute(
        cls,
        video: Any,
        start_time: float = 0.0,
        duration: float = 0.0,
        every_nth: int = 1,
        max_frames: int = 0,
        max_side: int = 0,
    ) -> io.NodeOutput:
        """Decode in a thread. Raises MediaError with the way out for the person at the graph."""
        from .media.decode.decode import DecodeOptions

        options = DecodeOptions(
            start_time=start_time,
            duration=duration,
            every_nth=every_nth,
            max_frames=max_frames,
            max_side=max_side,
            **_wanted(),
        )
        found = await in_thread(_decode, video, options)
        for warning in found.warnings:
            log.warning("Wan 2.7: %s", warning)
        if found.warnings:
            show_text("\n".join(found.warnings), node_id=executing_node_id())
        return io.NodeOutput(
            _or_blocked(found.images, "images"),
            _or_blocked(found.audio, "audio"),
            float(found.fps),
            found.frame_count,
            _or_blocked(found.last_frame, "last_frame"),
        )


def _wanted() -> dict[str, bool]:
    """The want_ options that this node's links ask for; all of them where the links cannot be known."""
    used = outputs_in_use()
    names = {"want_images": IMAGES, "want_audio": AUDIO, "want_last_frame": LAST_FRAME}
    return {name: used is None or index in used for name, index in names.items()}


def _or_blocked(value: Any, name: str) -> Any:
    """A readable error instead of None, should something take an output that no link led to."""
    if value is not None:
        return value
    from comfy_execution.graph_utils import ExecutionBlocker

    return ExecutionBlocker(f"{name} of Wan 2.7 Decode Video was not linked when the graph was queued. Queue it again.")


def _decode(job: Job, video: Any, options: DecodeOptions) -> Decoded:
    from .media.clip.source import file_of, trim_window
    from .media.decode.decode import decode
    from .media.decode.tensors import decode_tensors

    source = file_of(video)
    if source is not None:
        options = options.inside(*trim_window(video))
        return decode(source, options, cancelled=job.cancelled, on_progress=job.progress)
    components = video.get_components()
    return decode_tensors(
        components.images,
        components.audio,
        Fraction(components.frame_rate),
        options,
        cancelled=job.cancelled,
        on_progress=job.progress,
    )
