"""The part of a video file that is kept, decoded in order at a constant frame rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..files import MediaError
from ..video.video_input import Damage, open_video
from .audio_converter import AudioConverter
from .inspect import FileFacts

if TYPE_CHECKING:
    from av import VideoFrame

    from ..audio.waveform import Samples

_MISSING_FRAMES, _MISSING_SECONDS = Fraction(3, 2), Fraction(1, 10)
"""What may be missing at the end of an intact file: some end with a packet that holds no image of its own."""
_THREADS = ("AUTO", 0)
"""As many as FFmpeg likes: the encoder needs far more time."""
_PIECES = {"video": "pieces of its frames", "audio": "pieces of its audio"}


class FileClip:
    """The last seconds of a file: a whole number of frames, from `least` to `most`, that end where the file ends.

    Attributes:
        size: width and height, upright, with square pixels.
        audio_format: sample rate and channels (1 or 2), or None.
        cut_off: seconds before the clip that are left out.
        damage: one sentence on what could not be read, "" for nothing. Known when `read` has finished.
    """

    def __init__(self, facts: FileFacts, content: str, least: int, most: int) -> None:
        self._source, self._timeline = facts.source, facts.timeline
        self.size, self.rotation, self.fps = facts.size, facts.rotation, facts.fps
        self.audio_format, self.content = facts.audio, content
        self.frames = max(min(round(facts.seconds * facts.fps), most), least)
        seconds = self.frames / self.fps
        self._start = max(facts.start, facts.end - seconds)
        self._end = self._start + seconds
        self.cut_off = self._start - facts.start
        self.damage = ""
        self._gain: np.float32 | None = None

    def read(self, audio: tuple[int, int] | None) -> Generator[VideoFrame | Samples, None, None]:
        """Yield exactly `frames` frames, and samples in the format `audio`, not longer than the frames.

        Decoding begins at the frame that is seen at the start. Frames are repeated or left out to keep the rate
        constant. Raises MediaError if no frame can be decoded at the end.
        """
        pacer = FramePacer(self._start, self.fps, self.frames)
        track = self._track(audio)
        gain = self._find_gain(audio)
        begin = self._timeline.shown_at(self._start)
        with open_video(self._source, timeline=self._timeline, threads=_THREADS) as video:
            for frame, time in video.read(begin, audio=track is not None):
                if time is not None:
                    yield from pacer.add(frame, time, self._timeline.shown_until(time))
                    if pacer.full:
                        video.stop("video")
                elif track is not None:
                    yield from (part * gain for part in track.add(frame))
                    if track.full:
                        video.stop("audio")
            self.damage = self._lost_inside(video.damage)
        self._check_end(pacer)
        yield from pacer.finish()
        if track is not None:
            yield from (part * gain for part in track.finish())

    def _track(self, audio: tuple[int, int] | None) -> AudioConverter | None:
        return AudioConverter(audio, self._start, int(self.frames * audio[0] / self.fps)) if audio else None

    def _find_gain(self, audio: tuple[int, int] | None) -> np.float32:
        """Return how far the audio has to be turned down so that nothing is above full scale.

        Found once, before the first frame, by decoding the audio alone: audio that waits for the loudest sample would
        keep the frames waiting.
        """
        if self._gain is None:
            track = self._track(audio)
            if track is not None:
                with open_video(self._source, timeline=self._timeline) as video:
                    for frame, _ in video.read(self._timeline.shown_at(self._start), video=False):
                        deque(track.add(frame), 0)
                        if track.full:
                            video.stop("audio")
                deque(track.finish(), 0)
            self._gain = np.float32(1 / max(1.0, track.loudest if track is not None else 0.0))
        return self._gain

    def _lost_inside(self, damage: Damage) -> str:
        """Return what could not be decoded inside the clip, "" for nothing."""
        lost = dict.fromkeys(_PIECES, 0)
        for kind, time in damage.packets:
            lost[kind] += time is None or self._start <= time < self._end
        pieces = [f"{lost[kind]} {name}" for kind, name in _PIECES.items() if lost[kind]]
        if not pieces:
            return ""
        return f"The file is damaged: {' and '.join(pieces)} could not be decoded. Look at the clip before you use it."

    def _check_end(self, pacer: FramePacer) -> None:
        """Raise MediaError if the last frame is far from the end."""
        until = pacer.shown_until or self._start
        missing = self._end - until
        if missing <= max(_MISSING_FRAMES / self.fps, _MISSING_SECONDS) or (pacer.full and not self.damage):
            return
        raise MediaError(
            f"The last {float(missing):.3g} s of the clip cannot be decoded: the file is damaged from "
            f"{float(until - self._timeline.start):.4g} s on, and the video goes on from the clip's end. Trim it to "
            "end before that, or make it again."
        )


class FramePacer:
    """Puts frames into the slots of one frame rate: each slot shows the frame that is seen at its time.

    `start` is the time of the first slot, in seconds on the frames' clock. `shown_until` is when the last frame that
    was taken is replaced, None before the first frame.
    """

    def __init__(self, start: Fraction, fps: Fraction, count: int) -> None:
        self._start, self._fps, self._count = start, fps, count
        self._next = 0
        self._current: VideoFrame | None = None
        self._beyond = 0
        self.shown_until: Fraction | None = None

    @property
    def full(self) -> bool:
        """Whether all slots are filled."""
        return self._next >= self._count

    def add(self, frame: VideoFrame, time: Fraction, until: Fraction) -> Iterator[VideoFrame]:
        """Take the next frame, seen from `time` to `until`. Yield the one before it for each slot up to `time`.

        A first frame that is late fills the slots before it too. A frame after the end may have a damaged time: only a
        second one ends the clip.
        """
        slot = round((time - self._start) * self._fps)
        self._beyond = self._beyond + 1 if slot >= self._count else 0
        if self._beyond and self._current is not None:
            if self._beyond > 1:
                yield from self.finish()
            return
        if self._current is not None:
            yield from self._fill(slot)
        self._current, self.shown_until = frame, max(self.shown_until or until, until)

    def finish(self) -> Iterator[VideoFrame]:
        """Yield the last frame for each slot that is left."""
        yield from self._fill(self._count)

    def _fill(self, slot: int) -> Iterator[VideoFrame]:
        while self._current is not None and self._next < min(slot, self._count):
            self._next += 1
            yield self._current
