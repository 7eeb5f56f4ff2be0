"""Wan 2.7 Decode Video: from a file to frames and audio."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .comfy.node_schema import CATEGORY, aliases, output
from .comfy.prompt_graph import outputs_in_use
from .comfy.runtime import Job, executing, in_thread, report

if TYPE_CHECKING:
    from .media.decode.decode import Decoded, DecodeOptions

IMAGES, AUDIO, FPS, FRAME_COUNT, LAST_FRAME = range(5)


class Wan27DecodeVideo(io.ComfyNode):
    """Decodes any VIDEO to IMAGE and AUDIO, only as much of it as the graph uses."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27DecodeVideo",
            display_name="Wan 2.7 Decode Video",
            category=CATEGORY,
            description=(
                "Turns a video into frames and audio. Only linked outputs are decoded, and only the requested part "
                "takes memory."
            ),
            **aliases("video to images", "extract frames", "split video", "last frame", "demux"),
            inputs=[
                io.Video.Input("video", tooltip="Any video, for example from Wan 2.7 Wait for Video."),
                _seconds("start_time", "Seconds to skip. Images and audio begin with the first frame from there on."),
                _seconds("duration", "Seconds of frames and audio to output. 0 means to the end."),
                _number("every_nth", 1, 1000, "Output every n-th frame, starting with the first. fps is divided by n."),
                _number("max_frames", 0, 1_000_000, "Stop, and cut the audio, after this many frames. 0 means all."),
                _number("max_side", 0, 16384, "Scale frames down to this longer side in pixels. 0 keeps their size."),
            ],
            outputs=[
                output(io.Image, "images", "The frames, RGB. Not decoded if nothing is linked here."),
                output(io.Audio, "audio", "The audio of the same part, or silence if the video has none."),
                output(io.Float, "fps", "Frames per second at which these frames play."),
                output(io.Int, "frame_count", "The number of frames."),
                output(io.Image, "last_frame", "The last of these frames. Quick if only this output is linked."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """Run again if an output was linked that the cached result lacks."""
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
        """Decode in a thread. Raises MediaError, with what the user can do about it."""
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
        report(found.warnings, node_id=executing()[1], level=logging.WARNING)
        return io.NodeOutput(
            _or_blocked(found.images, "images"),
            _or_blocked(found.audio, "audio"),
            float(found.fps),
            found.frame_count,
            _or_blocked(found.last_frame, "last_frame"),
        )


def _seconds(name: str, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=0.0, min=0.0, max=86400.0, step=0.01, tooltip=tooltip)


def _number(name: str, low: int, high: int, tooltip: str) -> io.Int.Input:
    return io.Int.Input(name, default=low, min=low, max=high, tooltip=tooltip)


def _wanted() -> dict[str, bool]:
    """Return the want_ options that the links of this node require; all of them if the links cannot be known."""
    used = outputs_in_use()
    names = {"want_images": IMAGES, "want_audio": AUDIO, "want_last_frame": LAST_FRAME}
    return {name: used is None or index in used for name, index in names.items()}


def _or_blocked(value: Any, name: str) -> Any:
    """Return a readable error instead of None, in case something uses an output that was not linked."""
    if value is not None:
        return value
    from comfy_execution.graph_utils import ExecutionBlocker

    return ExecutionBlocker(f"{name} of Wan 2.7 Decode Video was not linked when the graph was queued. Queue it again.")


def _decode(job: Job, video: Any, options: DecodeOptions) -> Decoded:
    from .media.decode.decode import decode
    from .media.decode.tensors import decode_tensors
    from .media.video.video_object import file_of, tensors_of, trim_window

    source = file_of(video)
    if source is not None:
        options = options.inside(*trim_window(video))
        return decode(source, options, cancelled=job.cancelled, on_progress=job.progress)
    return decode_tensors(*tensors_of(video), options, cancelled=job.cancelled, on_progress=job.progress)
