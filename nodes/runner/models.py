"""What goes into the runner and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.connection import Connection
from ..api.request import VideoRequest
from ..core.limits import OnRepeat
from .run_times import seconds_left


@dataclass(frozen=True)
class Order:
    """A request for one video.

    Attributes:
        request: what to ask for; already checked.
        on_repeat: "reuse" finds the task of an equal request; "submit_again" makes another in each prompt.
        prompt_id: of the queued prompt; its nodes share the budget of one run.
        node_id: of the node that asks, the same whenever ComfyUI runs it again in one prompt. If it or prompt_id is "",
            "submit_again" makes another task each time.
        workflow: the graph that was queued, as the frontend saves it; kept with a new task. None if it is not known.
    """

    request: VideoRequest = field(repr=False)
    connection: Connection
    on_repeat: OnRepeat = "reuse"
    prompt_id: str = ""
    node_id: str = ""
    workflow: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Submitted:
    """The task that will deliver the video, whether it existed already (`reused`), and a note for the user.

    `estimated_cost` is in USD: 0 if nothing was sent; with a clip the upper value of the range.
    """

    task_id: str
    estimated_cost: float
    reused: bool
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a task is.

    Attributes:
        state: "queued", "processing", "downloading" or "waiting" (the service cannot be reached at the moment).
        seconds: since the task was submitted, or since it was first seen.
        progress_percent: 0-100 or None.
        eta_seconds: the service's guess or None.
        downloaded_bytes: of the video so far.
        total_bytes: of the video, None if not known yet.
        note: what is in the way, usually "".
        usual_seconds: p50 and p90 of similar tasks from their submission to their end, None if none is known.
        can_cancel: whether `Runner.cancel` may succeed.
    """

    state: str
    seconds: float
    progress_percent: float | None = None
    eta_seconds: float | None = None
    downloaded_bytes: int = 0
    total_bytes: int | None = None
    note: str = ""
    usual_seconds: tuple[float, float] | None = None
    can_cancel: bool = False

    def left_seconds(self, since: float = 0.0) -> float | None:
        """Return the seconds until the task has probably ended, `since` seconds after this report.

        By the service's guess, else by similar tasks; 0 if it takes longer than that, None if nothing is known.
        """
        if self.state == "downloading":
            return None
        if self.eta_seconds:
            return max(0.0, self.eta_seconds - since)
        return None if self.usual_seconds is None else seconds_left(self.seconds + since, self.usual_seconds)


OnProgress = Callable[[str, Progress], None]
"""Receives a task id and the progress of that task."""


@dataclass(frozen=True)
class Finished:
    """A video on disk. `info` is JSON-ready and contains no absolute path and no URL."""

    path: Path
    info: dict[str, Any]


def service_of(connection: Connection) -> str:
    """Return which service a task lives at. The sandbox's port changes with each start, so its name stands for it."""
    return connection.name if connection.is_sandbox else f"{connection.name} {connection.base_url.rstrip('/').lower()}"
