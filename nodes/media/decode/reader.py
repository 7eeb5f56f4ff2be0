"""The loop over packets: sends frames of the window to where they are kept, and sound to its track."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..files import MediaCancelled
from ..video.container import PacketError, audio_stream, is_mp4, packets_of, plain, video_stream
from ..video.threads import threads_for
from .audio_track import AudioTrack, seeks_to_the_sample
from .frame_store import FrameStore
from .options import DecodeOptions
from .plan import KeyFrame, Plan, Window

if TYPE_CHECKING:
    from av import AudioStream, Packet, VideoFrame, VideoStream
    from av.container import InputContainer

#: A seek that lands this much too late has missed its key frame.
_MISSED = Fraction(1, 100)
_MOST_WARNINGS = 20
#: Decoders that stop leaving frames out as soon as they are told. AV1's goes by what it was told at first.
_OBEDIENT = ("h264", "hevc", "mpeg2video", "mpeg4")


@dataclass(frozen=True)
class Step:
    """One way through the file. at: the key frame to begin with, None for the beginning."""

    at: KeyFrame | None
    video: bool
    audio: bool


class Reader:
    """One decoding. Feed it with `read`, then look at `store`, `latest`, `kept`, `track` and `warnings`.

    make_store(frame) gives the place for frames when the first one is known. ask_sound: see AudioTrack.
    """

    def __init__(
        self,
        name: str,
        options: DecodeOptions,
        plan: Plan,
        rate: Fraction,
        make_store: Callable[[VideoFrame], FrameStore],
        ask_sound: Callable[[int], None],
        cancelled: Callable[[], bool] | None,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.name, self._options, self._plan, self._rate = name, options, plan, rate
        self._make_store, self._ask_sound = make_store, ask_sound
        self._cancelled, self._on_progress = cancelled, on_progress
        #: Without images only the last frame is decoded; where it is, the packets tell.
        self.last_only = not options.want_images and plan.frames is not None
        self.wants_video = options.want_images or options.want_last_frame or plan.frames is None
        self._skips = not plan.times
        self._careful = False
        self.store: FrameStore | None = None
        self.track: AudioTrack | None = None
        self.latest: VideoFrame | None = None
        self._time: Fraction | None = None  # of the frame that was decoded last
        self._kept_time: Fraction | None = None
        self._damaged = self._lost = False
        self._seen = self._inside = self._before = 0
        self.kept = 0
        self.warnings: list[str] = []
        self._of_pictures: set[str] = set()

    def steps(self, audio: AudioStream | None) -> list[Step]:
        """The ways through the file that are needed, with the sound of this stream."""
        plan = self._plan
        exact = audio is not None and (plan.seek is None or seeks_to_the_sample(audio))
        if not self.last_only and (audio is None or exact):
            return [Step(plan.seek, video=True, audio=audio is not None)]
        sound = [] if audio is None else [Step(plan.seek if exact else None, video=False, audio=True)]
        at = plan.seek_last if self.last_only else plan.seek
        return sound + ([Step(at, video=True, audio=False)] if self.wants_video else [])

    def doubts(self) -> bool:
        """Whether reading the pictures again with `take_care` may give more of them, or another last frame."""
        wrong = self._damaged or self._kept_time != self._plan.last
        return not self._careful and (self._lost or (self.last_only and self.wants_video and self._skips and wrong))

    def take_care(self) -> None:
        """From now on decode every frame, with one thread: after an error at the end of the file, PyAV does not give
        out what the others have ready.
        """
        self._skips, self._careful = False, True
        self.warnings = [text for text in self.warnings if text not in self._of_pictures]

    def read(self, container: InputContainer, step: Step, *, rewind: bool = True) -> bool:
        """Take one step. False, with nothing kept, where the container cannot be brought to the step's start.

        rewind: the container was read before; False for one that was just opened.
        """
        import av

        self._begin(container, step)
        try:
            if rewind and not self._go_to(container, step):
                return False
            for packet in packets_of(container, list(filter(None, (self._video, self._audio)))):
                self._check_cancelled()
                if packet.stream is self._video:
                    if not self._video_done and not self._take_video(packet, step):
                        return False
                elif not self._audio_done:
                    self._take_audio(packet)
                if self._video_done and self._audio_done:
                    break
        except (PacketError, av.FFmpegError) as error:
            self.warn(f"reading stopped {self._place()}: {plain(error)}")
        # Some readers take a seek without a word and then have nothing more to say.
        return step.at is None or self._video is None or self._seen > 0

    def close(self) -> None:
        """End the converting thread."""
        if self.store is not None:
            self.store.close()

    def warn(self, text: str) -> None:
        """Keep a warning, once; a badly broken file does not get more than twenty."""
        text = f"{self.name}: {text}."
        if len(self.warnings) < _MOST_WARNINGS and text not in self.warnings:
            self.warnings.append(text)

    def _warn_of_picture(self, text: str) -> None:
        """Keep a warning that is told anew where the pictures are read again."""
        self.warn(text)
        self._of_pictures.add(f"{self.name}: {text}.")

    def _place(self) -> str:
        """Where decoding is: after which frame of the file, counted from 0; by time where not all were decoded."""
        if self._video is None:
            return "in the sound"
        if self._time is None:
            return "before the first frame"
        if self._leaves_out:
            return f"after the frame at {float(self._time):.2f} s"
        return f"after frame {self._before + self._seen - 1}"

    def _begin(self, container: InputContainer, step: Step) -> None:
        self._video: VideoStream | None = video_stream(container, self.name) if step.video else None
        self._audio: AudioStream | None = audio_stream(container) if step.audio else None
        self._video_done, self._audio_done = self._video is None, self._audio is None
        if self._audio is not None:
            window = _until_last(self._plan, self._options, self._rate)
            self.track = AudioTrack(self._audio, window, self._plan.pictures_end, self._ask_sound)
            if self._video is not None:
                self.track.end = self._plan.window.end  # until it is seen which frame is the last
        if self._video is not None:
            context = self._video.codec_context
            if not context.is_open:
                context.thread_type, context.thread_count = threads_for(context.width * context.height)
                if self._careful:
                    context.thread_count = 1
            self._leaves_out = self.last_only and self._skips and context.name in _OBEDIENT
            if self._leaves_out:
                context.skip_frame = "NONREF"  # what no other frame needs, until the last one comes
            self.close()
            self.store = self.latest = self._time = self._kept_time = None
            self._seen = self._inside = self.kept = 0
            self._before = 0 if step.at is None else step.at.number
            self._damaged = self._lost = False
            self._size = (0, 0)

    def _go_to(self, container: InputContainer, step: Step) -> bool:
        import av

        stream: Any
        if step.at is not None:
            stream, time = self._video or video_stream(container, self.name), step.at.time
        elif is_mp4(container):
            # It takes the other streams to where the first one was found, so ask the one that starts first.
            stream = min(filter(None, (self._audio, self._video)), key=_start_of)
            time = _start_of(stream) - 10
        else:
            return False  # only the mp4 reader is sure to find the very first packet of every stream again
        try:
            container.seek(int(time / stream.time_base), stream=stream)
        except av.FFmpegError:
            return False
        return True

    def _take_video(self, packet: Packet[Any], step: Step) -> bool:
        for frame in self._decoded(packet):
            time = self._time_of(frame)
            if step.at is not None and not self._seen and time > step.at.time + _MISSED:
                return False
            self._seen += 1
            self._check_cancelled()
            if not self._plan.window.before(time):
                self._take_frame(frame, time)
            if self._video_done:
                break
        return True

    def _decoded(self, packet: Packet[Any]) -> Iterator[VideoFrame]:
        import av

        if self._leaves_out and packet.pts is not None and packet.pts * packet.time_base == self._plan.last:
            assert self._video is not None
            self._video.codec_context.skip_frame = "DEFAULT"
        try:
            yield from packet.decode()
        except av.FFmpegError as error:
            self._damaged = True
            self._lost |= not packet.size  # the packet that ends the stream
            self._warn_of_picture(f"{self._place()} something could not be decoded: {plain(error)}")

    def _take_frame(self, frame: VideoFrame, time: Fraction) -> None:
        options, last = self._options, self._plan.last
        if self._plan.window.after(time):
            self._video_done = True
            return
        if frame.is_corrupt:
            self._damaged = True
            self._warn_of_picture(self._place().removeprefix("after ") + " is damaged")
        if self.last_only and last is not None:
            self.latest, self._kept_time = frame, time
            self._video_done = time >= last
            return
        self._inside += 1
        if (self._inside - 1) % options.every_nth:
            return
        self.kept += 1
        if options.want_images:
            self._keep(frame)
        else:
            self.latest = frame
        if self._on_progress is not None:
            self._on_progress(self.kept, max(self.kept, self._plan.frames or 0))
        if options.max_frames and self.kept >= options.max_frames:
            self._end_with(time)

    def _end_with(self, time: Fraction) -> None:
        """No frame is wanted after the one at `time`, nor sound that is heard when it is over."""
        self._video_done = True
        if self.track is not None:
            end, latest = time + self._options.every_nth / self._rate, self._plan.window.end
            self.track.end = end if latest is None else min(end, latest)

    def _keep(self, frame: VideoFrame) -> None:
        if self.store is None:
            self.store, self._size = self._make_store(frame), (frame.width, frame.height)
        elif (frame.width, frame.height) != self._size:
            self._size = (frame.width, frame.height)
            self.warn(f"{self._place()} the size is {frame.width}×{frame.height}; scaled to the first's")
        self.store.add(frame)

    def _take_audio(self, packet: Packet[Any]) -> None:
        import av

        assert self.track is not None
        try:
            for frame in packet.decode():
                if not self.track.add(frame):  # type: ignore[arg-type]
                    self._audio_done = True
                    return
        except av.FFmpegError as error:
            self.warn(f"a part of the sound could not be decoded: {plain(error)}")

    def _time_of(self, frame: VideoFrame) -> Fraction:
        times = self._plan.times
        if self._seen < len(times):
            time = times[self._seen]
        elif not times and frame.pts is not None and frame.time_base is not None:
            time = Fraction(frame.pts * frame.time_base)
        elif self._time is not None:
            time = self._time + 1 / self._rate
        else:
            time = Fraction(0)
        self._time = time
        return time

    def _check_cancelled(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise MediaCancelled("Decoding was interrupted.")


def _until_last(plan: Plan, options: DecodeOptions, rate: Fraction) -> Window:
    """The window of the sound, ended after the last frame that max_frames lets through."""
    window = plan.window
    if not options.max_frames or plan.last is None or plan.frames != options.max_frames:
        return window
    end = plan.last + options.every_nth / rate
    return Window(window.start, end if window.end is None else min(end, window.end), window.whole)


def _start_of(stream: Any) -> Fraction:
    return Fraction((stream.start_time or 0) * stream.time_base)
