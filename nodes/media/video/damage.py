"""What could not be read of a video file."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

_MAX_WARNINGS = 20


class LostPacket(NamedTuple):
    """A packet that could not be decoded. kind: "video" or "audio". time: when it should be shown, None if unknown."""

    kind: str
    time: Fraction | None


@dataclass
class Damage:
    """Warnings, one sentence each, and the packets that were lost.

    Attributes:
        name: of the file, which every warning begins with.
    """

    name: str
    warnings: list[str] = field(default_factory=list)
    packets: list[LostPacket] = field(default_factory=list)
    _about_frames: set[str] = field(default_factory=set)

    def warn(self, text: str, *, about_frames: bool = False) -> None:
        """Keep a warning, once. A badly broken file does not get more than twenty."""
        text = f"{self.name}: {text}."
        if about_frames:
            self._about_frames.add(text)
        if len(self.warnings) < _MAX_WARNINGS and text not in self.warnings:
            self.warnings.append(text)

    def forget_frames(self) -> None:
        """Drop everything about frames, which are about to be read again."""
        self.warnings = [text for text in self.warnings if text not in self._about_frames]
        self.packets = [packet for packet in self.packets if packet.kind != "video"]
