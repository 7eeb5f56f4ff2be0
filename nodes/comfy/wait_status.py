"""What the Wait node shows while it waits: one line of text for each task, and one progress bar for all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .runtime import ProgressBar, show_text

if TYPE_CHECKING:
    from ..runner.models import Progress

_DOWNLOAD_SHARE = 0.05
"""Part of the bar that the download gets: it takes seconds, the task takes minutes."""

_MINUTES_FROM = 90.0
"""Seconds. From here on the time left is shown in minutes."""

_ID_END = 6
"""Characters of its id that tell a task of a batch from the others. The whole id does not fit on the node."""


@dataclass
class TaskStatus:
    """The status of one task. Written from the runner's thread, read from the node's.

    Updates come with each poll, many seconds apart; between them the seconds continue by `clock`.
    """

    task_id: str
    progress: Progress | None = None
    done: bool = False
    clock: Callable[[], float] = time.monotonic
    updated_at: float = 0.0

    def update(self, progress: Progress) -> None:
        """Record what the runner reports."""
        self.updated_at = self.clock()
        self.progress = progress

    @property
    def fraction(self) -> float:
        """Return the progress, 0-1, as the service reports it, else by the time left. It is 1 only at the end."""
        if self.done:
            return 1.0
        progress = self.progress
        if progress is None:
            return 0.0
        if progress.state == "downloading":
            done = progress.downloaded_bytes / progress.total_bytes if progress.total_bytes else 0.0
            return 1.0 - _DOWNLOAD_SHARE * (1.0 - done)
        if progress.progress_percent:
            return (1 - _DOWNLOAD_SHARE) * progress.progress_percent / 100
        elapsed, left = self._seconds(progress)
        return 0.0 if left is None else (1 - _DOWNLOAD_SHARE) * elapsed / max(elapsed + left, 1.0)

    @property
    def text(self) -> str:
        """Return state, seconds, the time left, and whatever else the service reports."""
        progress = self.progress
        if self.done:
            # A note about the download is still true; an error before the download no longer matters.
            note = progress.note if progress is not None and progress.state == "downloading" else ""
            return ", ".join(filter(None, ["saved", note]))
        if progress is None:
            return "asking"
        elapsed, left = self._seconds(progress)
        parts = [f"{progress.state} {math.floor(elapsed)} s"]
        if progress.progress_percent:
            parts.append(f"{progress.progress_percent:.0f} %")
        if left is not None:
            parts.append(_left_text(left) if left >= 1 else "longer than expected")
        if progress.downloaded_bytes:
            parts.append(f"{progress.downloaded_bytes / 1e6:.1f} MB")
        if progress.note:
            parts.append(progress.note)
        return ", ".join(parts)

    def _seconds(self, progress: Progress) -> tuple[float, float | None]:
        """Return the elapsed seconds, and those that are probably left."""
        since = self.clock() - self.updated_at
        return progress.seconds + since, progress.left_seconds(since)


def _left_text(seconds: float) -> str:
    if seconds < _MINUTES_FROM:
        return f"about {math.ceil(seconds)} s left"
    return f"about {round(seconds / 60)} min left"


class WaitStatus:
    """The node's text and progress bar for all its tasks together, with `notes` below them. Sends only what changed."""

    def __init__(self, tasks: list[TaskStatus], *, node_id: str, note: str) -> None:
        self.tasks, self.node_id, self.notes = tasks, node_id, [note]
        self._bar, self._shown_text, self._permille = ProgressBar(node_id), "", 0

    async def show(self) -> None:
        """Show the current status on the node."""
        text = "\n".join(filter(None, [*self._lines(), *self.notes]))
        if text != self._shown_text:
            self._shown_text = text
            show_text(text, node_id=self.node_id)
        permille = round(1000 * sum(task.fraction for task in self.tasks) / len(self.tasks))
        # An estimate by time can be ahead of the percentage that the service reports next; a bar does not go back.
        self._permille = max(self._permille, permille)
        await self._bar.show(self._permille, 1000)

    def _lines(self) -> list[str]:
        """Return a line for each task. Only those of a batch need the end of their ids."""
        if len(self.tasks) == 1:
            return [self.tasks[0].text]
        return [f"…{task.task_id[-_ID_END:]}: {task.text}" for task in self.tasks]
