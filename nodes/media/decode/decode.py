"""Video files to tensors: frames straight into one preallocated float32 tensor, sound in the same pass.

FFmpeg decodes with frame threads, one more thread converts; nothing is stacked, copied or kept twice. Frames are equal
to the bit to what ComfyUI core's VideoFromFile gives for the files it can decode (rotation, which core ignores, apart).

The rooms: decode_options (what is asked and given), decode_source (opening), decode_window (which frames),
decode_reader (the loop), decode_frames (the tensor), decode_audio, decode_memory (the guard), decode_threads,
decode_tensors (videos that are tensors already).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import MediaCancelled, MediaError
from ..video.container import MAX_PIXELS, Source, audio_stream, name_of, opened, video_stream
from ..video.matroska import is_cut_off
from ..video.probe import frame_rate
from .audio_track import SILENCE_CHANNELS, SILENCE_RATE, silence
from .frame_store import Converter, FrameStore, Geometry, limited_size
from .memory import allocation_failed, check_audio, check_memory, frame_bytes, working_bytes
from .options import Decoded, DecodeOptions
from .plan import Plan, make_plan
from .reader import Reader, Step

if TYPE_CHECKING:
    from av import AudioStream, VideoFrame, VideoStream
    from av.container import InputContainer
    from torch import Tensor

__all__ = ["DecodeOptions", "Decoded", "decode"]

_EVERYTHING = DecodeOptions()
#: Frames to allocate for where not one packet was found.
_UNKNOWN = 64
#: Held while decoding. One at a time uses all cores already, and two could each be told that the same memory is free.
_TURN = threading.Lock()
_POLL_SECONDS = 0.1


def decode(
    source: Source,
    options: DecodeOptions = _EVERYTHING,
    *,
    cancelled: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    memory_limit: int | None = None,
) -> Decoded:
    """Decode the part of a video file that `options` ask for.

    source: a path or a BytesIO with the whole file. cancelled: polled between frames, and while another one in this
    process is waited for: files are decoded one at a time. on_progress: called with frames done and expected.
    memory_limit: bytes the result may take, instead of what the system says is free.

    Raises MediaError for a file that cannot be read, an empty window and bad options, MemoryRefusedError (a MediaError)
    before memory is taken that is not there, MediaCancelled.
    """
    options.check()
    name = name_of(source)
    with _turn(cancelled), opened(source) as container:
        video = video_stream(container, name)
        audio = audio_stream(container) if options.want_audio else None
        plan = make_plan(container, video, audio, options, name, cancelled)
        guard = _Guard(name, options, plan, video, audio, memory_limit)
        guard.check(video.codec_context.width, video.codec_context.height)
        rate = frame_rate(video)
        reader = Reader(name, options, plan, rate, guard.make_store, guard.check_audio, cancelled, on_progress)
        try:
            for step in reader.steps(audio):
                if not reader.read(container, step):
                    _read_anew(source, reader, step)
            if reader.doubts():
                reader.take_care()
                _read_anew(source, reader, Step(None, video=True, audio=False))
            if plan.complete:
                _tell_if_cut_off(source, reader, plan, container, video)
            return _result(reader, options, plan, video, audio, container.metadata)
        finally:
            reader.close()


@contextmanager
def _turn(cancelled: Callable[[], bool] | None) -> Iterator[None]:
    while not _TURN.acquire(timeout=_POLL_SECONDS):
        if cancelled is not None and cancelled():
            raise MediaCancelled("Decoding was interrupted before it began.")
    try:
        yield
    finally:
        _TURN.release()


def _read_anew(source: Source, reader: Reader, step: Step) -> None:
    """The same from the beginning of a freshly opened file, which always works."""
    with opened(source) as container:
        anew = Step(None, step.video, step.audio)
        reader.read(container, anew, rewind=False)


class _Guard:
    """Asks for memory in the name of one decoding."""

    def __init__(
        self,
        name: str,
        options: DecodeOptions,
        plan: Plan,
        video: VideoStream,
        audio: AudioStream | None,
        limit: int | None,
    ) -> None:
        self._name, self._options, self._limit = name, options, limit
        self._frames = self._expected(options, plan, video)
        self._size = (video.codec_context.width, video.codec_context.height)
        pixels = video.codec_context.format
        # 10 bit take 16 in memory, which is what "padded" counts. 4:2:0 with 8 bit where nothing is said.
        self._bits = pixels.padded_bits_per_pixel if pixels is not None else 12
        self._other = _audio_bytes(options, plan, video, audio)

    @staticmethod
    def _expected(options: DecodeOptions, plan: Plan, video: VideoStream) -> int:
        """How many frames will be given out. Without times in the packets there is one for each packet at most."""
        if plan.frames or not plan.packets:
            return plan.frames or options.max_frames or _UNKNOWN
        # Frames without a time are counted on at the stream's rate, so the window can be told in frames.
        window, rate = plan.window, frame_rate(video)
        inside = plan.packets - max(0, int(window.start * rate))
        if window.end is not None:
            inside = min(inside, int((window.end - window.start) * rate) + 1)
        chosen = max(1, -(-inside // options.every_nth))
        return min(chosen, options.max_frames or chosen)

    def check(self, width: int, height: int, frames: int | None = None) -> None:
        """Raise MemoryRefusedError where the frames, of this size before max_side, do not fit."""
        if frames is None:
            frames = self._frames if self._options.want_images else 0
        working = working_bytes(width, height, self._bits)
        width, height = limited_size(width, height, self._options.max_side)
        check_memory(
            name=self._name,
            frames=frames,
            last_frame=self._options.want_last_frame,
            width=width,
            height=height,
            audio_bytes=self._other,
            limit=self._limit,
            working=working,
        )

    def check_audio(self, count: int) -> None:
        """Raise MemoryRefusedError where `count` more bytes of sound do not fit. Files hold more than they say."""
        width, height = limited_size(*self._size, self._options.max_side)
        frames = (self._frames if self._options.want_images else 0) + self._options.want_last_frame
        other = frames * frame_bytes(width, height)
        check_audio(name=self._name, count=count, other_bytes=other, limit=self._limit)

    def make_store(self, first: VideoFrame) -> FrameStore:
        """The array for all frames. The first one is asked for its size again: the header may have lied."""
        self.check(first.width, first.height)
        geometry = Geometry.of(first, self._options.max_side)
        try:
            # While the array grows the old one is there too, and has taken its memory already.
            return FrameStore(geometry, self._frames, lambda frames: self.check(first.width, first.height, frames))
        except MemoryError as error:
            raise allocation_failed(self._name, self._frames, geometry.width, geometry.height) from error


def _audio_bytes(options: DecodeOptions, plan: Plan, video: VideoStream, audio: AudioStream | None) -> int:
    if not options.want_audio:
        return 0
    rate, channels, window = SILENCE_RATE, SILENCE_CHANNELS, plan.window
    seconds = float((plan.frames or 0) * options.every_nth / frame_rate(video))
    if audio is not None:
        rate, channels = audio.sample_rate, audio.codec_context.channels
        # max_frames ends the sound with the last frame.
        ended = window.end is not None or plan.frames == options.max_frames
        if not ended and plan.complete and audio.duration and audio.time_base:
            seconds = max(seconds, float(audio.duration * audio.time_base) - options.start_time)
    # What the decoder gives out in pieces, and the one waveform made of it. A header can claim years: that is refused
    # only where the pictures are as many.
    return min(int(seconds * rate) * channels * 4 * 2, 1 << 32)


def _tell_if_cut_off(source: Source, reader: Reader, plan: Plan, container: InputContainer, video: VideoStream) -> None:
    # AVI counts the frames too that are shown again, for which it holds nothing.
    promised = 0 if container.format.name == "avi" else video.frames
    if promised > plan.packets:
        reader.warn(f"the file is cut off: its header counts {promised} frames, it ends after frame {plan.packets - 1}")
    elif container.format.name.startswith("matroska") and is_cut_off(source):
        reader.warn(f"the file is cut off: it ends after frame {plan.packets - 1}")


def _nothing(reader: Reader, video: VideoStream) -> MediaError:
    """Why there is not one frame."""
    if not video.codec_context.width:
        return MediaError(
            f"{reader.name} does not say how large its frames are, or they have more than {MAX_PIXELS // 10**6} "
            "million pixels, which are not read. The file is damaged or not meant to be played; make it anew."
        )
    why = f" ({reader.warnings[0]})" if reader.warnings else ""
    return MediaError(f"Not one frame could be decoded{why}. Make or download the video again.")


def _result(
    reader: Reader,
    options: DecodeOptions,
    plan: Plan,
    video: VideoStream,
    audio: AudioStream | None,
    metadata: dict[str, str],
) -> Decoded:
    import torch

    if reader.wants_video and reader.latest is None and reader.store is None:
        raise _nothing(reader, video)
    count = (plan.frames or 0) if reader.last_only else reader.kept
    fps = frame_rate(video) / options.every_nth
    with torch.inference_mode(False):  # ordinary tensors, whatever thread this is
        images = None if reader.store is None else torch.from_numpy(reader.store.finish())
        last = _last_frame(reader, images, options.max_side) if options.want_last_frame else None
        sound = _sound(reader, count / fps) if options.want_audio else None
    return Decoded(images, sound, fps, count, last, tuple(reader.warnings), dict(metadata), silent=audio is None)


def _last_frame(reader: Reader, images: Tensor | None, max_side: int) -> Tensor:
    import torch

    if images is not None:
        return images[-1:].clone()
    assert reader.latest is not None
    geometry = Geometry.of(reader.latest, max_side)
    out = np.empty((1, *geometry.shape), np.float32)
    Converter(geometry).write(reader.latest, out[0])
    return torch.from_numpy(out)


def _sound(reader: Reader, seconds: Any) -> dict[str, Any]:
    import torch

    track = reader.track
    samples = None if track is None else track.waveform()
    rate = (track.rate if track is not None else 0) or SILENCE_RATE
    if track is not None and track.changed_rate:
        reader.warn(f"the sound changes its sample rate; only the parts at {rate} Hz were kept")
    if track is not None and track.jumped:
        reader.warn("some sound is marked to be heard long after the last picture; it follows the sound before it")
    if samples is None:
        samples = silence(seconds, rate, (track.channels if track is not None else 0) or SILENCE_CHANNELS)
    return {"waveform": torch.from_numpy(samples).unsqueeze(0), "sample_rate": rate}
