"""Drawing and encoding of the stand-in video."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np

from ...core import limits
from .frame import Frame, Zoom, blended, load_frame
from .overlay import Overlay
from .soundtrack import Recording, Sequence, Tone, Track, audio_rate

VERSION = 1
"""Part of the identity of a result. Increase it with every change of what is drawn."""
_AAC_FRAME = 1024
_EDGE_QUANTISER = 8
"""Quantiser of the first and last frame, which must match their inputs: about 44 dB even for noise."""


class RenderCancelledError(Exception):
    """The sandbox is being stopped."""


@dataclass(frozen=True)
class Job:
    """Everything a video depends on: the same job produces the same bytes.

    Either image or clip is set. width and height are multiples of 16, duration is in seconds.
    """

    width: int
    height: int
    fps: int
    duration: int
    seed: int
    prompt: str = ""
    watermark: bool = False
    image: Path | None = None
    last_image: Path | None = None
    clip: Path | None = None
    clip_seconds: float = 0.0
    audio: Path | None = None

    @property
    def frames(self) -> int:
        return self.duration * self.fps

    @property
    def head(self) -> int:
        """Return the number of frames from the clip; at least one frame is new."""
        return min(round(self.clip_seconds * self.fps), self.frames - 1) if self.clip else 0


def output_size(width: int, height: int, resolution: str) -> tuple[int, int]:
    """Return width and height of the video for an input of width x height pixels.

    The model keeps the aspect, takes the area of the tier and rounds both sides DOWN to its grid. This follows the
    published inference code of the open Wan models, and gives the one published pair: 750x1000 at 720P is 816x1104.
    (So 16:9 at 1080P becomes 1920x1072.)
    """
    area, grid = limits.TIER_AREA[resolution], limits.SIDE_MULTIPLE
    # isqrt of the whole part is the whole part of the root: exact, while floats could turn 1280 into 1279.999
    out_width = math.isqrt(area * width // height) // grid * grid
    out_height = math.isqrt(area * height // width) // grid * grid
    return out_width, out_height


def render(job: Job, target: Path, *, cancelled: Callable[[], bool] | None = None) -> None:
    """Write a job to `target` as mp4: H.264 yuv420p BT.709 and AAC stereo, index at the front.

    Works frame by frame: memory does not grow with the duration. Takes at most about the length of the video in CPU
    time; the heavy parts release the GIL.

    Raises:
        RenderCancelledError: `cancelled` returned True; `target` is incomplete.
    """
    soundtrack = _Soundtrack(job)
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(target), "w", format="mp4", options=options) as container:
        video = _add_video(container, job)
        audio = container.add_stream("aac", rate=soundtrack.rate, layout="stereo", options={"b": "192000"})
        for index, frame in enumerate(_frames(job)):
            if cancelled and cancelled():
                raise RenderCancelledError
            raw = av.VideoFrame.from_ndarray(frame.data, format="yuv420p")
            raw.pts, raw.time_base = index, Fraction(1, job.fps)
            container.mux(video.encode(raw))
            for part in soundtrack.until(Fraction(index + 1, job.fps)):
                container.mux(audio.encode(part))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _add_video(container: Any, job: Job) -> Any:
    last = job.frames - 1
    zones = f"zones=0,0,q={_EDGE_QUANTISER}/{last},{last},q={_EDGE_QUANTISER}"
    stream = container.add_stream(
        "libx264", rate=job.fps, options={"preset": "superfast", "crf": "20", "x264-params": zones}
    )
    stream.width, stream.height, stream.pix_fmt = job.width, job.height, "yuv420p"
    stream.time_base = Fraction(1, job.fps)
    context = stream.codec_context
    context.gop_size = 2 * job.fps
    # with several threads, zones do not produce the same bytes twice; and two videos are rendered at once anyway
    context.thread_count = 1
    context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
    context.color_range = 1  # limited
    return stream


class _Soundtrack:
    """The audio of a job in frames for the encoder, exactly as long as the video."""

    def __init__(self, job: Job) -> None:
        source = job.audio or job.clip
        source_rate = audio_rate(source) if source else 0
        self.rate = 44_100 if source_rate == 44_100 else 48_000
        self._position, self._total = 0, job.duration * self.rate
        self._track: Track = Tone(job.seed, self.rate)
        if source and source_rate:
            recording = Recording(source, self.rate)
            clip_samples = round(job.head * self.rate / job.fps)
            self._track = recording if job.audio else Sequence(recording, clip_samples, self._track)

    def until(self, time: Fraction) -> Iterator[av.AudioFrame]:
        """Yield all frames that begin before `time` seconds."""
        end = min(math.ceil(time * self.rate), self._total)
        while self._position < end:
            count = min(_AAC_FRAME, self._total - self._position)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(self._track.read(count)), format="fltp", layout="stereo"
            )
            frame.rate, frame.pts, frame.time_base = self.rate, self._position, Fraction(1, self.rate)
            self._position += count
            yield frame


def _frames(job: Job) -> Iterator[Frame]:
    overlay = Overlay(job.width, job.height, fps=job.fps, frames=job.frames, prompt=job.prompt, watermark=job.watermark)
    frame: Frame | None = None
    for index, frame in enumerate(_clip_frames(job)):
        shown = frame.copy() if job.watermark else frame
        overlay.draw_mark(shown, _opacity(index, job.frames, job.fps))
        yield shown
    first = load_frame(job.image, job.width, job.height) if job.image else frame
    assert first is not None
    new = job.frames - job.head
    for step, drawn in enumerate(_motion(job, first, new)):
        overlay.draw(drawn, job.head + step, _opacity(step, new, job.fps))
        overlay.draw_mark(drawn, _opacity(job.head + step, job.frames, job.fps))
        yield drawn


def _motion(job: Job, first: Frame, count: int) -> Iterator[Frame]:
    """Yield `count` frames from `first` (which a clip has shown already) to the last image, if any."""
    random = Random(job.seed)  # noqa: S311 - a camera move, not a secret
    center = (random.uniform(0.3, 0.7), random.uniform(0.3, 0.7))
    rate = 0.1 / max(count, 2 * job.fps)
    after = 1 if job.clip else 0
    start = Zoom(first, rate=rate, center=center)
    if job.last_image is None:
        yield from (start.at(step + after) for step in range(count))
        return
    end = Zoom(load_frame(job.last_image, job.width, job.height), rate=rate, center=center)
    for step in range(count):
        way = (step + after) / max(1, count - 1 + after)
        share = min(1.0, max(0.0, way * 3 - 1))
        if share <= 0:
            yield start.at(step + after)
        elif share >= 1:
            yield end.at(count - 1 - step)
        else:
            yield blended(start.at(step + after), end.at(count - 1 - step), share)


def _clip_frames(job: Job) -> Iterator[Frame]:
    """Yield job.head frames of the clip at the size and rate of the output. The end of a short clip is repeated."""
    if job.clip is None:
        return
    with av.open(str(job.clip), format="mov") as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        decoded = container.decode(stream)
        first = next(decoded)
        upcoming: av.VideoFrame | None = first
        for index in range(job.head):
            while upcoming is not None and (upcoming.time or 0.0) - (first.time or 0.0) - 1e-6 <= index / job.fps:
                shown = _scaled(upcoming, job.width, job.height)
                upcoming = next(decoded, None)
            yield shown


def _scaled(decoded: av.VideoFrame, width: int, height: int) -> Frame:
    turns = decoded.rotation // 90 % 4
    size = (height, width) if turns % 2 else (width, height)
    planar = decoded.reformat(
        width=size[0],
        height=size[1],
        format="yuv420p",
        # explicit, because older releases of PyAV ignore the tags; FFmpeg takes untagged video for BT.601
        src_colorspace={1: "ITU709", 7: "SMPTE240M"}.get(int(decoded.colorspace), "ITU601"),
        src_color_range="JPEG" if int(decoded.color_range) == 2 else "MPEG",
        dst_colorspace="ITU709",
        dst_color_range="MPEG",
        interpolation="BICUBIC",
    )
    frame = Frame(planar.to_ndarray().astype(np.uint8, copy=False))
    if not turns:
        return frame
    planes = [np.rot90(plane, turns).reshape(-1, width) for plane in (frame.y, frame.u, frame.v)]
    return Frame(np.concatenate(planes).astype(np.uint8))


def _opacity(index: int, count: int, fps: int) -> float:
    """Return the opacity of the overlay: 0 on the first and last of `count` frames, with a short fade next to them."""
    ramp = max(1, round(min(0.4 * fps, count / 4)))
    return min(1.0, index / ramp, (count - 1 - index) / ramp)
