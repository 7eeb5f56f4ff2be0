"""What goes into the runner and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.connection import Connection
from ..api.request import VideoRequest
from ..core.limits import OnRepeat


@dataclass(frozen=True)
class Origin:
    """The prompt and the node a task came from; for the person who reads the ledger."""

    prompt_id: str = ""
    node_id: str = ""


@dataclass(frozen=True)
class Order:
    """One video to be had.

    Attributes:
        request: what to ask for; already checked.
        connection: where.
        media: for each media field what is known of its content: a SHA-256 in hex, or the URL. Fields left out are
            looked up in the ledger's uploads.
        on_repeat: "reuse" finds the task an equal request made; "submit_again" always makes another.
        origin: where it comes from.
        clip_seconds: length of the clip behind first_clip_url, where known.
    """

    request: VideoRequest = field(repr=False)
    connection: Connection
    media: Mapping[str, str] = field(default_factory=dict, repr=False)
    on_repeat: OnRepeat = "reuse"
    origin: Origin = Origin()
    clip_seconds: float | None = None


@dataclass(frozen=True)
class Submitted:
    """The task that will bring the video. `note` is a sentence for the node, "" where there is nothing to say."""

    task_id: str
    estimated_cost: float
    reused: bool
    note: str = ""


@dataclass(frozen=True)
class Progress:
    """How far a task is.

    Attributes:
        state: "queued", "processing", "downloading" or "waiting" (the service cannot be reached just now).
        seconds: since the task was submitted, or since it was first seen.
        progress_percent: 0-100 or None.
        eta_seconds: the service's guess or None.
        downloaded_bytes: of the video so far.
        total_bytes: of the video, None where not known yet.
        note: what is in the way, "" mostly.
    """

    state: str
    seconds: float
    progress_percent: float | None = None
    eta_seconds: float | None = None
    downloaded_bytes: int = 0
    total_bytes: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Finished:
    """A video on disk. `info` is JSON-ready and has no absolute path and no URL in it."""

    path: Path
    info: dict[str, Any]


def service_of(connection: Connection) -> str:
    """Which service a task lives at. The sandbox's port changes with each start, so its name stands for it."""
    return connection.name if connection.is_sandbox else f"{connection.name} {connection.base_url.rstrip('/').lower()}"
