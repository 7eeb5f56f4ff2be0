"""The part of a video file that is kept, decoded in order at a constant frame rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ..files import MediaError
from ..video.timeline import Timeline
from ..video.video_input import Damage, open_video
from ..video.video_object import FileSource
from .audio_converter import AudioConverter
from .frame_pacer import FramePacer
from .inspect import FileFacts

if TYPE_CHECKING:
    from av import VideoFrame

    from ..audio.waveform import Samples

_MISSING_FRAMES, _MISSING_SECONDS = Fraction(3, 2), Fraction(1, 10)
"""What may be missing at the end of an intact file: some end with a packet that holds no image of its own."""
_THREADS = ("AUTO", 0)
"""As many as FFmpeg likes: the encoder needs far more time."""
_PIECES = {"video": "pieces of its frames", "audio": "pieces of its audio"}


@dataclass
class FileClip:
    """The part from `start` of a file that makes `frames` frames at `fps`. See `ClipSource`."""

    source: FileSource
    timeline: Timeline
    size: tuple[int, int]
    rotation: int
    fps: Fraction
    start: Fraction
    frames: int
    audio_format: tuple[int, int] | None
    content: str
    cut_off: Fraction = Fraction(0)
    damage: str = ""
    _gain: np.float32 | None = field(default=None, init=False)

    @classmethod
    def of(cls, facts: FileFacts, content: str, least: int, most: int) -> FileClip:
        """Return the last seconds of the file, as a whole number of frames that end where the file ends.

        Args:
            least, most: limits of the number of frames.
        """
        frames = max(min(round((facts.end - facts.start) * facts.fps), most), least)
        start = max(facts.start, facts.end - frames / facts.fps)
        return cls(
            source=facts.source,
            timeline=facts.timeline,
            size=facts.size,
            rotation=facts.rotation,
            fps=facts.fps,
            start=start,
            frames=frames,
            audio_format=facts.audio,
            content=content,
            cut_off=start - facts.start,
        )

    @property
    def end(self) -> Fraction:
        """Of the part, in seconds of the file's own clock."""
        return self.start + self.frames / self.fps

    def read(self, audio: tuple[int, int] | None) -> Generator[VideoFrame | Samples, None, None]:
        """Decode from the frame that is seen at the start. Frames are repeated or left out to keep the rate constant.

        Raises MediaError if no frame can be decoded at the end.
        """
        pacer = FramePacer(self.start, self.fps, self.frames)
        track = self._track(audio)
        gain = self._find_gain(audio)
        begin = self.timeline.shown_at(self.start)
        with open_video(self.source, timeline=self.timeline, threads=_THREADS) as video:
            for frame, time in video.read(begin, audio=track is not None):
                if time is not None:
                    yield from pacer.add(frame, time, self.timeline.shown_until(time))
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
        return AudioConverter(audio, self.start, int(self.frames * audio[0] / self.fps)) if audio else None

    def _find_gain(self, audio: tuple[int, int] | None) -> np.float32:
        """Return how far the audio has to be turned down so that nothing is above full scale.

        Found once, before the first frame, by decoding the audio alone: audio that waits for the loudest sample would
        keep the frames waiting.
        """
        if self._gain is None:
            track = self._track(audio)
            if track is not None:
                with open_video(self.source, timeline=self.timeline) as video:
                    for frame, _ in video.read(self.timeline.shown_at(self.start), video=False):
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
            lost[kind] += time is None or self.start <= time < self.end
        pieces = [f"{lost[kind]} {name}" for kind, name in _PIECES.items() if lost[kind]]
        if not pieces:
            return ""
        return f"The file is damaged: {' and '.join(pieces)} could not be decoded. Look at the clip before you use it."

    def _check_end(self, pacer: FramePacer) -> None:
        """Raise MediaError if the last frame is far from the end."""
        until = pacer.shown_until or self.start
        missing = self.end - until
        if missing <= max(_MISSING_FRAMES / self.fps, _MISSING_SECONDS) or (pacer.full and not self.damage):
            return
        raise MediaError(
            f"The last {float(missing):.3g} s of the clip cannot be decoded: the file is damaged from "
            f"{float(until - self.timeline.start):.4g} s on, and the video goes on from the clip's end. Trim it to end "
            "before that, or make it again."
        )
