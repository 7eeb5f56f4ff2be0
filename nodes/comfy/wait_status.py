"""What the Wait node shows while it waits: one line for each task, and one bar for all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .runtime import show_progress, show_text

if TYPE_CHECKING:
    from ..runner.models import Progress

_DOWNLOAD_SHARE = 0.05
"""Part of the bar that is left for the download: it takes seconds where the task takes minutes."""


@dataclass
class Line:
    """What is known of one task while it is waited for. Written from the runner's thread, read from the node's.

    News come with each poll, many seconds apart; between them the seconds go on by `clock`.
    """

    task_id: str
    progress: Progress | None = None
    done: bool = False
    clock: Callable[[], float] = time.monotonic
    heard_at: float = 0.0

    def update(self, progress: Progress) -> None:
        """Take over what the runner tells."""
        self.heard_at = self.clock()
        self.progress = progress

    def _now(self) -> tuple[float, float]:
        """Seconds so far, and seconds to go by the service's guess, 0 where it gave none or they are over."""
        assert self.progress is not None
        since = self.clock() - self.heard_at
        return self.progress.seconds + since, max(0.0, (self.progress.eta_seconds or 0.0) - since)

    @property
    def fraction(self) -> float:
        """How far it is, 0-1, as far as the service tells."""
        if self.done:
            return 1.0
        at = self.progress
        if at is None:
            return 0.0
        if at.state == "downloading":
            return 1.0 - _DOWNLOAD_SHARE * (1 - at.downloaded_bytes / at.total_bytes if at.total_bytes else 1)
        if at.progress_percent:
            return (1 - _DOWNLOAD_SHARE) * at.progress_percent / 100
        if at.eta_seconds:
            seconds, to_go = self._now()
            return (1 - _DOWNLOAD_SHARE) * seconds / (seconds + to_go)
        return 0.0

    @property
    def text(self) -> str:
        """State, seconds, and what else the service tells."""
        at = self.progress
        if self.done:
            # What there was to say of the download still holds; what was in the way before it does not.
            note = at.note if at is not None and at.state == "downloading" else ""
            return ", ".join(filter(None, [f"{self.task_id}: saved", note]))
        if at is None:
            return f"{self.task_id}: asking"
        seconds, to_go = self._now()
        parts = [f"{at.state} {math.floor(seconds)} s"]
        if at.progress_percent:
            parts.append(f"{at.progress_percent:.0f} %")
        if to_go >= 1:
            parts.append(f"about {math.ceil(to_go)} s to go")
        if at.downloaded_bytes:
            parts.append(f"{at.downloaded_bytes / 1e6:.1f} MB")
        if at.note:
            parts.append(at.note)
        return f"{self.task_id}: {', '.join(parts)}"


@dataclass
class Board:
    """The node's text and bar, for all its tasks together. Sends only what changed."""

    lines: list[Line]
    node_id: str | None
    note: str
    shown: tuple[str, int] = field(default=("", -1))

    async def show(self) -> None:
        text = "\n".join(filter(None, [*(line.text for line in self.lines), self.note]))
        permille = round(1000 * sum(line.fraction for line in self.lines) / len(self.lines))
        # An estimate by time can be ahead of the percentage the service tells next; a bar does not go back.
        permille = max(permille, self.shown[1])
        if text != self.shown[0]:
            show_text(text, node_id=self.node_id)
        if permille != self.shown[1]:
            await show_progress(permille, 1000, node_id=self.node_id)
        self.shown = (text, permille)
