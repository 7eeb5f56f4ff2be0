"""The state of a task at the service, independent of any dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..core.errors import RequestError

_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


@dataclass(frozen=True)
class TaskHandle:
    """What is needed to ask for a task: its id, and what the host wants to be kept beside it.

    The ledger stores both in one write, before the first poll. A pasted task id has no `kept`; every dialect can do
    without it.

    Attributes:
        kept: URLs by name, such as those that fal answers to a submit. Never shown.
    """

    task_id: str
    kept: Mapping[str, str] = field(default_factory=dict, repr=False)


class TaskState(str, Enum):
    """State of a task. A state that the service adds later counts as PROCESSING, so that polling continues."""

    QUEUED = "queued"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self in (TaskState.SUCCEEDED, TaskState.FAILED)


@dataclass(frozen=True)
class ResultVideo:
    """A finished video. `ttl_seconds` is None if the service does not say how long the URL is valid."""

    url: str
    ttl_seconds: int | None = None


@dataclass(frozen=True)
class TaskResult:
    """One answer to a query for a task. Everything that may be None is None if the service does not say it.

    Attributes:
        reason: why the task failed, or at least the service's own word for that state.
        progress_percent: 0-100.
        canceled: whether a failed task was canceled, by the user or by the host.
        prompt: the prompt as it was sent, from hosts that repeat it.
        submitted_at_ms, executed_at_ms, completed_at_ms: milliseconds since 1970.
    """

    task_id: str
    state: TaskState
    reason: str = ""
    progress_percent: float | None = None
    eta_seconds: float | None = None
    seed: int | None = None
    video: ResultVideo | None = None
    canceled: bool = False
    prompt: str | None = None
    submitted_at_ms: int | None = None
    executed_at_ms: int | None = None
    completed_at_ms: int | None = None


@dataclass(frozen=True)
class Balance:
    """The account's balance in USD."""

    available_usd: float
    outstanding_usd: float = 0.0


@dataclass(frozen=True)
class PastTask:
    """A task in a host's own list.

    Attributes:
        times: when it was created, in seconds since 1970: each possible reading of a time whose zone the host does not
            name. Empty if the host does not say it.
        inputs: the request in our own names and values (`VideoRequest`), without what was not sent. None if the list
            does not contain it: then query the task, and compare `TaskResult.prompt`.
    """

    handle: TaskHandle
    times: tuple[float, ...] = ()
    inputs: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TaskPage:
    """One page of a host's list of tasks. `next_page` is "" on the last one."""

    tasks: list[PastTask]
    next_page: str = ""


def check_task_id(text: object) -> str:
    """Return the task id without white space around it, or refuse it.

    An id becomes part of a query and of file names, so it is checked before it is used anywhere.

    Raises:
        RequestError: it is empty, longer than 128 characters, or has characters that no task id has.
    """
    candidate = (text if isinstance(text, str) else repr(text)).strip()
    if isinstance(text, str) and _TASK_ID.fullmatch(candidate) and ".." not in candidate:
        return candidate
    if not candidate:
        raise RequestError(
            "task_id is empty. Link the task_id output of Wan 2.7 Image to Video, or paste the id of a task."
        )
    shown = candidate if len(candidate) <= 60 else candidate[:57] + "..."
    raise RequestError(
        f"task_id {shown!r} is not a valid task id (letters, digits and . _ : - only, at most 128). "
        "Copy it again from the info output of Wan 2.7 Wait for Video, or from the log."
    )
