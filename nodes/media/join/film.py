"""What a film is made with, and what becomes known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class FilmForm:
    """The form that all shots of a film get.

    Attributes:
        size: width and height, both even.
        audio: sample rate and channels (1 or 2), or None for a film without audio.
        gain: of all audio. Shots that are turned down one by one would jump in loudness.
    """

    size: tuple[int, int]
    fps: Fraction
    audio: tuple[int, int] | None
    gain: float = 1.0


@dataclass(frozen=True)
class JoinOptions:
    """What happens at the seams.

    Attributes:
        drop_repeated: leave out a first frame that repeats the last one of the shot before.
        crossfade_seconds: 0 is a cut.
        match_colors: bring each shot to the colors of the one before at the seam.
    """

    drop_repeated: bool = False
    crossfade_seconds: float = 0.0
    match_colors: bool = False


@dataclass
class Seam:
    """What was found and done at one seam.

    Attributes:
        dropped: whether the first frame after it was left out.
        color_step: how far the mean colors on both sides are apart, in 8-bit steps, before and after matching. None if
            they were not matched.
    """

    dropped: bool = False
    color_step: tuple[float, float] | None = None


@dataclass
class Film:
    """A finished film.

    Attributes:
        frames: of each shot, as it is in the film; shots that overlap both count the frames they share.
        reason: why the frames were encoded, "" if they were copied.
        notes: a sentence for each thing that is not in the film as it is in a shot, and for damage.
    """

    form: FilmForm
    frames: list[int] = field(default_factory=list)
    seams: list[Seam] = field(default_factory=list)
    total: int = 0
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def copied(self) -> bool:
        """Whether the frames were copied instead of encoded."""
        return not self.reason

    @property
    def seconds(self) -> Fraction:
        """Length of the film."""
        return self.total / self.form.fps
