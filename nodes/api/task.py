"""A task as the service tells of it, in terms that no dialect owns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ..core.errors import RequestError

_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class TaskState(str, Enum):
    """Where a task stands. Anything the service invents later counts as PROCESSING: keep polling."""

    QUEUED = "queued"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the service will not change it any more."""
        return self in (TaskState.SUCCEEDED, TaskState.FAILED)


@dataclass(frozen=True)
class ResultVideo:
    """A finished video. ttl_seconds is None where the service did not say how long the URL lives."""

    url: str
    ttl_seconds: int | None = None


@dataclass(frozen=True)
class TaskResult:
    """One answer to "how far is this task?".

    progress_percent is 0-100 or None; eta_seconds is None where unknown; the *_ms are milliseconds since 1970 or None.
    """

    task_id: str
    state: TaskState
    raw_status: str = ""
    reason: str = ""
    progress_percent: float | None = None
    eta_seconds: float | None = None
    seed: int | None = None
    videos: tuple[ResultVideo, ...] = ()
    submitted_at_ms: int | None = None
    executed_at_ms: int | None = None
    completed_at_ms: int | None = None


@dataclass(frozen=True)
class Balance:
    """What the account holds, in USD."""

    available_usd: float
    cash_usd: float
    credit_limit_usd: float
    outstanding_usd: float


def check_task_id(text: object) -> str:
    """Return the task id without white space around it, or refuse it.

    An id becomes part of a query and of file names, so it is matched before it is used anywhere.

    Raises:
        RequestError: empty, longer than 128 characters, or with characters no task id has.
    """
    shown = text if isinstance(text, str) else repr(text)
    candidate = shown.strip()
    if isinstance(text, str) and _TASK_ID.fullmatch(candidate) and ".." not in candidate:
        return candidate
    if not candidate:
        raise RequestError(
            "task_id is empty. Link the task_id output of Wan 2.7 Image to Video, or paste the id of a task."
        )
    shown = candidate if len(candidate) <= 60 else candidate[:57] + "..."
    raise RequestError(
        f"task_id {shown!r} is no task id: it has letters, digits and . _ : - only, at most 128 characters. "
        "Copy it again from the info output of Wan 2.7 Wait for Video, or from the log."
    )
