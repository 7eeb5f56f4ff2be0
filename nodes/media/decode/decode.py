"""Video files to tensors: frames into one preallocated float32 tensor, audio in the same pass.

FFmpeg decodes with frame threads, and one more thread converts. Nothing is stacked, copied or kept twice. Colors are
converted as `media/video/rgb.py` says: more accurately than ComfyUI core's VideoFromFile does it, so not to the bit as
there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from ..files import Cancelled, MediaError, Source, check_cancelled
from ..video.container import MAX_PIXELS
from ..video.unreadable import no_frame
from ..video.video_input import VideoInput, open_video
from .audio_track import SILENCE_CHANNELS, SILENCE_RATE, AudioTrack, silence
from .frames import FrameCollector, output_size
from .memory import WORKING_BYTES, check_memory, frame_bytes, working_bytes
from .options import Decoded, DecodeOptions, OnProgress
from .plan import Plan, make_plan, paced

__all__ = ["DecodeOptions", "Decoded", "decode"]

_EVERYTHING = DecodeOptions()
_TURN = threading.Lock()
"""Held while decoding. One file uses all cores already, and two could each be told that the same memory is free."""
_POLL_SECONDS = 0.1


def decode(
    source: Source,
    options: DecodeOptions = _EVERYTHING,
    *,
    cancelled: Cancelled | None = None,
    on_progress: OnProgress | None = None,
    memory_limit: int | None = None,
) -> Decoded:
    """Decode the part of a video file that `options` ask for.

    Args:
        cancelled: polled between frames, and while waiting for another file in this process: files are decoded one at
            a time.
        memory_limit: bytes the result may take, instead of what the system says is free.

    Raises:
        MediaError: a file that cannot be read, an empty window, or bad options.
        MemoryRefusedError: the result does not fit into memory. None has been taken yet.
    """
    options.check()
    with _turn(cancelled), open_video(source, cancelled=cancelled) as video:
        plan = make_plan(video, options)
        audio_notes = video.audio_notes(whole=plan.window.whole) if options.want_audio else []
        for note in (*plan.clock.notes, *audio_notes):
            video.damage.warn(note)
        guard = _MemoryGuard(video, options, plan, memory_limit)
        guard.check(*guard.size)
        frames = FrameCollector(video, options, plan, guard.check, on_progress)
        try:
            track = _read(video, options, plan, frames, guard)
            for note in video.cut_off_notes():
                video.damage.warn(note)
            return _result(video, options, plan, frames, track)
        finally:
            frames.close()


@contextmanager
def _turn(cancelled: Cancelled | None) -> Iterator[None]:
    while not _TURN.acquire(timeout=_POLL_SECONDS):
        check_cancelled(cancelled)
    try:
        yield
    finally:
        _TURN.release()


def _read(
    video: VideoInput, options: DecodeOptions, plan: Plan, frames: FrameCollector, guard: _MemoryGuard
) -> AudioTrack | None:
    """Read frames and audio: in one pass, or in two if they are not needed from the same place on."""
    exact = video.audio_is_exact(plan.begin)
    together = exact and options.want_images
    audio = video.audio if options.want_audio else None
    track = AudioTrack(audio, plan, guard.check_audio) if audio is not None else None
    if track is not None and together:
        track.end_at(plan.audio.end)  # until the frames show which is the last
    elif track is not None:
        for frame, _ in video.read(plan.begin if exact else None, video=False):
            if not track.add(frame):
                video.stop("audio")
    if options.want_images or options.want_last_frame:
        only = None if options.want_images else plan.last
        read = video.read(plan.begin, audio=together and track is not None, only=only)
        for frame, time in paced(video, plan, read) if options.want_images else read:
            if time is not None:
                if not frames.add(frame, time):
                    video.stop("video")
                    if track is not None and frames.end is not None:
                        track.end_at(frames.end)
            elif track is not None and not track.add(frame):
                video.stop("audio")
    return track


class _MemoryGuard:
    """Checks before memory is taken for one decoding. `size`: width and height of the frames, as the header says."""

    def __init__(self, video: VideoInput, options: DecodeOptions, plan: Plan, limit: int | None) -> None:
        self._name, self._stream, self._options, self._limit = video.name, video.video, options, limit
        self._frames = plan.frames if options.want_images else 0
        context = video.video.codec_context
        self.size = context.width, context.height
        # 10 bits take 16 in memory, which "padded" counts. If nothing is known: 4:2:0 with 8 bits.
        self._bits = context.format.padded_bits_per_pixel if context.format is not None else 12
        self._audio_bytes = _audio_bytes(video, options, plan) if options.want_audio else 0

    def check(self, width: int, height: int, frames: int | None = None) -> None:
        """Raise MemoryRefusedError if the frames, of this size before max_side, do not fit."""
        working, stored = working_bytes(width, height, self._bits), (width, height)
        width, height = self._output_size(width, height)
        if (width, height) != stored:
            working += frame_bytes(width, height)
        check_memory(
            name=self._name,
            frames=self._frames if frames is None else frames,
            last_frame=self._options.want_last_frame,
            width=width,
            height=height,
            audio_bytes=self._audio_bytes,
            limit=self._limit,
            working=working,
        )

    def check_audio(self, count: int) -> None:
        """Raise MemoryRefusedError if `count` more bytes of audio do not fit. Files hold more than they say."""
        working = 0
        if self._limit is not None:  # what is free no longer contains the frames, but a limit does
            one = frame_bytes(*self._output_size(*self.size))
            working = WORKING_BYTES + (self._frames + self._options.want_last_frame) * one
        check_memory(name=self._name, audio_bytes=count, limit=self._limit, working=working)

    def _output_size(self, width: int, height: int) -> tuple[int, int]:
        return output_size(width, height, self._stream, self._options.max_side)


def _audio_bytes(video: VideoInput, options: DecodeOptions, plan: Plan) -> int:
    rate, channels = SILENCE_RATE, SILENCE_CHANNELS
    slots = min(plan.frames * options.every_nth, plan.clock.count - plan.slots.start)
    seconds = float(slots / plan.clock.rate)
    audio = video.audio
    if audio is not None:
        if audio.sample_rate:
            rate, channels = audio.sample_rate, audio.codec_context.channels
        if plan.audio_end is None and video.timeline.complete and audio.duration and audio.time_base:
            seconds = max(seconds, float(audio.duration * audio.time_base) - options.start_time)
    # The decoder's pieces, and the one waveform made of them. A header can claim years: that is refused only if the
    # frames are as many.
    return min(int(seconds * rate) * channels * 4 * 2, 1 << 32)


def _result(
    video: VideoInput, options: DecodeOptions, plan: Plan, frames: FrameCollector, track: AudioTrack | None
) -> Decoded:
    import torch

    if frames.is_empty and (options.want_images or options.want_last_frame):
        raise _no_frame(video)
    fps = video.rate / options.every_nth
    count = frames.count if options.want_images else plan.frames
    with torch.inference_mode(False):  # ordinary tensors, whatever thread this is
        images = frames.images()
        last = None
        if options.want_last_frame:
            last = frames.last_frame() if images is None else images[-1:].clone()
        audio = _audio(video, track, count / fps) if options.want_audio else None
    silent = not options.want_audio or video.audio is None
    warnings, metadata = tuple(video.damage.warnings), dict(video.container.metadata)
    return Decoded(images, audio, fps, count, last, warnings, metadata, silent)


def _no_frame(video: VideoInput) -> MediaError:
    """Return the error for a file without one frame that can be decoded."""
    if not video.video.codec_context.width:
        return no_frame(
            video.source,
            f"does not say how large its frames are, or they have more than {MAX_PIXELS // 10**6} million pixels, "
            "which are not read. The file is damaged or not meant to be played; create it again.",
        )
    why = f" ({video.damage.warnings[-1]})" if video.damage.warnings else ""
    return no_frame(video.source, f"holds no frame that can be decoded{why}. Make or download the video again.")


def _audio(video: VideoInput, track: AudioTrack | None, seconds: Fraction) -> dict[str, Any]:
    import torch

    samples, rate, channels = None, SILENCE_RATE, SILENCE_CHANNELS
    if track is not None and track.rate:
        samples, rate, channels = track.waveform(), track.rate, track.channels
        if track.changed_rate:
            video.damage.warn(f"the audio changes its sample rate; only the parts at {rate} Hz were kept")
        if track.jumped:
            video.damage.warn("some audio has a time long after the last frame; it follows the audio before it")
    if samples is None:
        samples = silence(seconds, rate, channels)
    return {"waveform": torch.from_numpy(samples).unsqueeze(0), "sample_rate": rate}
