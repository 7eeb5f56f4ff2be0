"""The part of a video file that is kept, decoded in order at a constant frame rate."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..files import Cancelled, MediaError
from ..video.frame_clock import FramePacer
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
_PIECES = {"video": "its frames", "audio": "its audio"}


class FileClip:
    """The last seconds of a file: a whole number of frames, from `least` to `most`, that end where the file ends.

    Args:
        gain: of the audio; None turns it down just enough that nothing is above full scale.

    Attributes:
        size: width and height, upright, with square pixels.
        audio_format: sample rate and channels (1 or 2), or None.
        cut_off: seconds before the clip that are left out.
        notes: one sentence for each other difference from the file.
        damage: one sentence on what could not be read, "" for nothing. Known when `read` has finished.
    """

    def __init__(
        self,
        facts: FileFacts,
        content: str,
        least: int,
        most: int,
        *,
        gain: np.float32 | None = None,
        cancelled: Cancelled | None = None,
    ) -> None:
        self._source, self._clock = facts.source, facts.clock
        self.size, self.colors, self.fps = facts.size, facts.colors, facts.fps
        self.audio_format, self.content, self.notes = facts.audio, content, facts.notes
        first = self._clock.index_from(facts.start)
        stop = self._clock.index_from(facts.end) if facts.end < self._clock.timeline.end else self._clock.count
        self.frames = max(min(stop - first, most), least)
        self._first = max(first, stop - self.frames)
        self._start = self._clock.time(self._first)
        self._end = self._start + self.frames / self.fps
        self.cut_off = (self._first - first) / self.fps
        self.damage = ""
        self._gain, self._cancelled = gain, cancelled

    def read(self, audio: tuple[int, int] | None) -> Generator[VideoFrame | Samples, None, None]:
        """Yield exactly `frames` frames, and samples in the format `audio`, to the end of the last frame.

        Decoding begins at the frame that is seen at the start. Frames are repeated or left out to keep the rate
        constant.

        Raises:
            MediaError: no frame can be decoded at the end.
            MediaCancelled: `cancelled` said so.
        """
        pacer = FramePacer(self._clock, self._first, self._first + self.frames)
        track = self._track(audio) if audio is not None else None
        gain = self._find_gain(audio)
        with open_video(self._source, clock=self._clock, threads=_THREADS, cancelled=self._cancelled) as video:
            for frame, time in video.read(self._begin, audio=track is not None):
                if time is not None:
                    yield from (shown for shown, _ in pacer.add(frame, time))
                    if pacer.full:
                        video.stop("video")
                elif track is not None:
                    yield from (part * gain for part in track.add(frame))
                    if track.full:
                        video.stop("audio")
            self.damage = self._lost_inside(video.damage)
        self._check_end(pacer)
        yield from (shown for shown, _ in pacer.finish(fill=True))
        if track is not None:
            yield from (part * gain for part in track.finish())

    def read_audio(self, audio: tuple[int, int]) -> Iterator[Samples]:
        """Yield the samples that `read` yields, alone and as loud as they are in the file."""
        return self._read_audio(self._track(audio))

    def _read_audio(self, track: AudioConverter) -> Iterator[Samples]:
        with open_video(self._source, clock=self._clock, cancelled=self._cancelled) as video:
            for frame, _ in video.read(self._begin, video=False):
                yield from track.add(frame)
                if track.full:
                    video.stop("audio")
            self.damage = self._lost_inside(video.damage)
        yield from track.finish()

    @property
    def _begin(self) -> Fraction | None:
        """When the frame that is seen at the start appeared; None to read the file from its beginning."""
        return self._clock.frame_in(self._first) if self._first else None

    def _track(self, audio: tuple[int, int]) -> AudioConverter:
        return AudioConverter(audio, self._start, math.ceil(self.frames * audio[0] / self.fps))

    def _find_gain(self, audio: tuple[int, int] | None) -> np.float32:
        """Return how far the audio has to be turned down so that nothing is above full scale.

        Found once, before the first frame, by decoding the audio alone: audio that waits for the loudest sample would
        keep the frames waiting.
        """
        if self._gain is None:
            loudest = 0.0
            if audio is not None:
                track = self._track(audio)
                deque(self._read_audio(track), 0)
                loudest = track.loudest
            self._gain = np.float32(1 / max(1.0, loudest))
        return self._gain

    def _lost_inside(self, damage: Damage) -> str:
        """Return what could not be decoded inside the clip, "" for nothing."""
        lost = dict.fromkeys(_PIECES, 0)
        for kind, time in damage.packets:
            lost[kind] += time is None or self._start <= time < self._end
        pieces = [
            f"{count} piece{'s' if count > 1 else ''} of {_PIECES[kind]}" for kind, count in lost.items() if count
        ]
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
            f"{float(until - self._clock.start):.4g} s on, and what follows it continues from its end. Trim it "
            "to end before that, or make it again."
        )
