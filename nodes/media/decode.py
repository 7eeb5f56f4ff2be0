"""Video files to tensors: frames straight into one preallocated float32 tensor, sound in the same pass.

FFmpeg decodes with frame threads, one more thread converts; nothing is stacked, copied or kept twice. Frames are equal
to the bit to what ComfyUI core's VideoFromFile gives for the files it can decode (rotation, which core ignores, apart).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .decode_audio import SILENCE_CHANNELS, SILENCE_RATE, AudioTrack, silence
from .decode_frames import Converter, FrameStore, Geometry, limited_size
from .decode_memory import check_memory
from .decode_options import Decoded, DecodeOptions
from .decode_source import Source, audio_stream, name_of, opened, plain, video_stream
from .decode_threads import thread_count
from .decode_window import Plan, Window, make_plan
from .file import MediaCancelled, MediaError
from .probe import frame_rate

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer

__all__ = ["DecodeOptions", "Decoded", "decode"]

_EVERYTHING = DecodeOptions()


def decode(
    source: Source,
    options: DecodeOptions = _EVERYTHING,
    *,
    cancelled: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    memory_limit: int | None = None,
) -> Decoded:
    """Decode the part of a video file that `options` ask for.

    source: a path or a BytesIO with the whole file. cancelled: polled between frames. on_progress: called with frames
    done and expected. memory_limit: bytes the result may take, instead of what the system says is free.

    Raises MediaError for a file that cannot be read, an empty window and bad options, MemoryRefusedError (a MediaError)
    before memory is taken that is not there, MediaCancelled.
    """
    options.check()
    name = name_of(source)
    with opened(source) as container:
        video, audio = video_stream(container, name), audio_stream(container) if options.want_audio else None
        plan = make_plan(container, video, audio, options, name)
        run = _Run(name, options, plan, video, audio, memory_limit)
        run.cancelled, run.on_progress = cancelled or run.cancelled, on_progress or run.on_progress
        try:
            done = run.read(container, at=run.seek) if _can_rewind(container, run.seek) else False
            if not done:
                with opened(source) as again:
                    run.restart(again)
                    run.read(again, at=None)
            return run.result(dict(container.metadata))
        finally:
            run.close()


def _can_rewind(container: InputContainer, seek: Fraction | None) -> bool:
    # Only the mp4 reader keeps an index that finds the very first packet of every stream again.
    return seek is not None or "mp4" in container.format.name.split(",")


class _Run:
    """One decoding from start to end."""

    def __init__(
        self,
        name: str,
        options: DecodeOptions,
        plan: Plan,
        video: VideoStream,
        audio: AudioStream | None,
        memory_limit: int | None,
    ) -> None:
        self.name, self.options, self.plan, self.memory_limit = name, options, plan, memory_limit
        self.cancelled: Callable[[], bool] = lambda: False
        self.on_progress: Callable[[int, int], None] = lambda _done, _total: None
        self.rate = frame_rate(video)
        self.header_frames = video.frames
        # Without images only the last frame is decoded, and where that is is known from the packets.
        self.last_only = not options.want_images and plan.frames is not None
        self.seek = plan.seek_last if self.last_only and audio is None else plan.seek
        self.window = self._window()
        self.store: FrameStore | None = None
        self._use(video, audio)
        self._check_memory(video.codec_context.width, video.codec_context.height)

    def restart(self, container: InputContainer) -> None:
        """Begin again with a freshly opened file."""
        audio = audio_stream(container) if self.options.want_audio else None
        self.close()
        self.store = None
        self._use(video_stream(container, self.name), audio)

    def close(self) -> None:
        """End the converting thread."""
        if self.store is not None:
            self.store.close()

    def _use(self, video: VideoStream, audio: AudioStream | None) -> None:
        context = video.codec_context
        context.thread_type = "AUTO"
        context.thread_count = thread_count(context.width * context.height)
        self.video, self.audio = video, audio
        self.track = None if audio is None else AudioTrack(audio, self.window)
        self.wants_video = self.options.want_images or self.options.want_last_frame or self.plan.frames is None
        self.video_done, self.audio_done = not self.wants_video, audio is None
        self.seen = self.inside = self.kept = 0
        self.latest: VideoFrame | None = None
        self.latest_time: Fraction | None = None
        self.geometry: Geometry | None = None
        self.warnings: list[str] = []

    def _window(self) -> Window:
        """The window, ended after the last frame that max_frames lets through, so that the sound ends there too."""
        window, plan = self.plan.window, self.plan
        if not self.options.max_frames or plan.last is None or plan.frames != self.options.max_frames:
            return window
        end = plan.last + self.options.every_nth / self.rate
        return Window(window.start, end if window.end is None else min(end, window.end), window.whole)

    # Reading

    def read(self, container: InputContainer, at: Fraction | None) -> bool:
        """Decode from `at` (None: the beginning). False where the seek went too far and nothing was kept."""
        import av

        self._rewind(container, at)
        streams = [stream for stream in (self.video, self.audio) if stream is not None]
        try:
            for packet in container.demux(streams):
                if self.cancelled():
                    raise MediaCancelled
                if packet.stream is self.video:
                    if not self.video_done and not self._take_video(packet, at):
                        return False
                elif not self.audio_done:
                    self._take_audio(packet)
                if self.video_done and self.audio_done:
                    break
        except av.FFmpegError as error:
            self._warn(f"reading stopped after frame {self.seen}: {plain(error)}")
        return True

    def _rewind(self, container: InputContainer, at: Fraction | None) -> None:
        import av

        # mp4 takes the other streams to where the first one was found, so ask the one that starts first.
        stream: Any = self.video
        base = self.video.time_base
        if at is None and self.audio is not None and self.audio.time_base is not None and self.window.whole:
            stream, base = self.audio, self.audio.time_base
        if base is None:
            return
        earliest = min(Fraction(0), self.window.start) - 10
        try:
            container.seek(int((earliest if at is None else at) / base), stream=stream, backward=True)
        except av.FFmpegError:
            if at is not None:
                raise

    def _take_video(self, packet: Packet, at: Fraction | None) -> bool:
        import av

        try:
            frames: Any = packet.decode()
        except av.FFmpegError as error:
            self._warn(f"frame {self.seen} could not be decoded: {plain(error)}")
            return True
        for frame in frames:
            time = self._time_of(frame)
            if at is not None and not self.seen and time > max(at, self.window.start) + Fraction(1, 100):
                return False
            self.seen += 1
            if self.cancelled():
                raise MediaCancelled
            if not self.window.before(time):
                self._take_frame(frame, time)
            if self.video_done:
                break
        return True

    def _take_frame(self, frame: VideoFrame, time: Fraction) -> None:
        options, last = self.options, self.plan.last
        if self.window.after(time):
            self.video_done = True
            return
        chosen = self.inside % options.every_nth == 0
        self.inside += 1
        if frame.is_corrupt:
            self._warn(f"frame {self.seen - 1} is damaged")
        if self.last_only and last is not None:
            self.latest = frame
            self.video_done = time >= last - Fraction(1, 2000)
            return
        if not chosen:
            return
        self.kept += 1
        if options.want_images:
            self._store_for(frame).add(frame)
        self.latest = frame
        self.on_progress(self.kept, max(self.kept, self.plan.frames or 0))
        self.video_done = bool(options.max_frames) and self.kept >= options.max_frames

    def _take_audio(self, packet: Packet) -> None:
        import av

        assert self.track is not None
        try:
            frames: Any = packet.decode()
        except av.FFmpegError as error:
            self._warn(f"a part of the sound could not be decoded: {plain(error)}")
            return
        for frame in frames:
            if not self.track.add(frame):
                self.audio_done = True
                return

    def _time_of(self, frame: VideoFrame) -> Fraction:
        if frame.pts is not None and frame.time_base is not None:
            time = frame.pts * Fraction(frame.time_base)
        elif self.latest_time is not None:
            time = self.latest_time + 1 / self.rate
        else:
            time = self.window.start if self.window.whole else Fraction(0)
        self.latest_time = time
        return time

    def _store_for(self, frame: VideoFrame) -> FrameStore:
        if self.store is None:
            self._check_memory(frame.width, frame.height)
            self.geometry = Geometry.of(frame, self.options.max_side)
            self.store = FrameStore(self.geometry, self.plan.frames or 64, self._check_growth)
            self.first_size = (frame.width, frame.height)
        elif (frame.width, frame.height) != self.first_size:
            self._warn(f"frame {self.seen - 1} is {frame.width}×{frame.height}; it was scaled to the size of the first")
        return self.store

    def _check_memory(self, width: int, height: int, frames: int | None = None) -> None:
        if frames is None:
            frames = (self.plan.frames or 1) if self.options.want_images else 0
            frames += self.options.want_last_frame
        width, height = limited_size(width, height, self.options.max_side)
        check_memory(
            name=self.name,
            frames=frames,
            width=width,
            height=height,
            other_bytes=self._audio_bytes(),
            limit=self.memory_limit,
        )

    def _check_growth(self, frames: int) -> None:
        # While it is copied the old array is there as well.
        assert self.geometry is not None and self.store is not None
        available = frames if self.memory_limit is None else frames + self.store.count
        self._check_memory(self.geometry.width, self.geometry.height, available)

    def _audio_bytes(self) -> int:
        if not self.options.want_audio:
            return 0
        rate, channels, seconds = SILENCE_RATE, SILENCE_CHANNELS, float((self.plan.frames or 0) / self.rate)
        if self.audio is not None:
            rate, channels = self.audio.sample_rate, self.audio.codec_context.channels
            if self.audio.duration and self.audio.time_base and self.window.end is None:
                seconds = max(seconds, float(self.audio.duration * self.audio.time_base))
        return int(seconds * rate) * channels * 4 * 2  # the frames of the decoder and the one waveform

    # The result

    def result(self, metadata: dict[str, str]) -> Decoded:
        """What was read, as tensors. Raises MediaError where it is nothing."""
        import torch

        count = self._count()
        fps = self.rate / self.options.every_nth
        with torch.inference_mode(False):  # ordinary tensors, whatever thread this is
            images = None if self.store is None else torch.from_numpy(self.store.finish())
            last = self._last_frame(images) if self.options.want_last_frame else None
            audio = self._sound(count / fps) if self.options.want_audio else None
        self._compare_with_header()
        return Decoded(images, audio, fps, count, last, tuple(self.warnings), metadata, silent=self.audio is None)

    def _count(self) -> int:
        if self.wants_video and self.latest is None:
            why = f" ({self.warnings[0]})" if self.warnings else ""
            raise MediaError(f"Not one frame of {self.name} could be decoded{why}. Make or download it again.")
        if self.last_only or not self.wants_video:
            return self.plan.frames or 0
        return self.kept

    def _last_frame(self, images: Any) -> Any:
        import torch

        if images is not None:
            return images[-1:].clone()
        assert self.latest is not None
        geometry = Geometry.of(self.latest, self.options.max_side)
        out = np.empty((1, *geometry.shape), np.float32)
        Converter(geometry).write(self.latest, out[0])
        return torch.from_numpy(out)

    def _sound(self, seconds: Fraction) -> dict[str, Any]:
        import torch

        samples = None if self.track is None else self.track.waveform()
        rate = self.track.rate if self.track is not None and self.track.rate else SILENCE_RATE
        if self.track is not None and self.track.changed_rate:
            self._warn(f"the sound changes its sample rate; only the parts at {rate} Hz were kept")
        if samples is None:
            samples = silence(seconds, rate, (self.track and self.track.channels) or SILENCE_CHANNELS)
        return {"waveform": torch.from_numpy(samples).unsqueeze(0), "sample_rate": rate}

    def _compare_with_header(self) -> None:
        missing = self.header_frames - self.plan.packets
        if missing > 0:
            self._warn(
                f"the file is cut off: its header counts {self.header_frames} frames, and it ends after frame "
                f"{self.plan.packets - 1}"
            )

    def _warn(self, text: str) -> None:
        if len(self.warnings) < 20:
            self.warnings.append(f"{self.name}: {text}.")
