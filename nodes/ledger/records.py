"""A task as the ledger stores it, and the states it can be in."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

State = Literal["intent", "submitted", "succeeded", "saved", "failed", "unknown"]
"""intent     reserved; post_started_at tells whether the POST may have left
submitted  accepted by the service: task_id is known
succeeded  the video is ready at result_url
saved      the video is on disk as `file`
failed     ended without a video, refused, or never sent
unknown    the POST may have arrived, but its answer was lost"""

UNFINISHED_STATES: tuple[State, ...] = ("submitted", "succeeded")
"""There is a task at the service, and its video is not on disk yet."""

RUNNING_STATES: tuple[State, ...] = ("intent", *UNFINISHED_STATES)
"""The state will change without anything that the user does."""


@dataclass(frozen=True)
class TaskRecord:
    """One row of the table `tasks`; `schema` describes the columns. A record without an id is not in the ledger yet.

    Two records that share a fingerprint or a file_fingerprint are of the same request: fingerprint identifies media by
    their content, file_fingerprint by the bytes of their files. `handle` is what the host wants to be kept beside
    task_id (`api.task.TaskHandle.kept`). `hidden`: the user took it off the list; it is shown again when it gets a task
    or a video, and when its request is queued again. URLs never show in a repr.
    """

    service: str
    connection: str
    base_url: str
    fingerprint: str = ""
    file_fingerprint: str = ""
    state: State = "intent"
    task_id: str | None = None
    handle: Mapping[str, str] = field(default_factory=dict, repr=False)
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)
    estimate: float | None = None
    counted: bool = False
    run_id: str = ""
    prompt_id: str = ""
    node_id: str = ""
    owner: str = ""
    reason: str = ""
    seed: int | None = None
    result_url: str | None = field(default=None, repr=False)
    result_expires_at: float | None = None
    file: str | None = None
    file_size: int | None = None
    file_sha256: str | None = None
    video: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    post_started_at: float | None = None
    submitted_at: float | None = None
    executed_at: float | None = None
    completed_at: float | None = None
    saved_at: float | None = None
    hidden: bool = False
    id: int = 0

    @property
    def began_at(self) -> float:
        """When the task began, in seconds since 1970."""
        return self.submitted_at or self.created_at


class FinishedRun(NamedTuple):
    """A task that has a video: what was requested, and the seconds from its submission to its end."""

    resolution: str | None
    duration: int | None
    seconds: float


_COLUMNS = [column.name for column in fields(TaskRecord) if column.name != "id"]
_JSON_COLUMNS = ("handle", "request", "video")

INSERT_RECORD = f"INSERT INTO tasks ({', '.join(_COLUMNS)}) VALUES (:{', :'.join(_COLUMNS)})"  # noqa: S608 - constants
"""Takes the result of `to_row`."""


def from_row(row: sqlite3.Row) -> TaskRecord:
    """Return the record of a row with every column."""
    values = {**dict(row), "counted": bool(row["counted"]), "hidden": bool(row["hidden"])}
    return TaskRecord(**{**values, **{name: json.loads(row[name]) for name in _JSON_COLUMNS}})


def to_row(record: TaskRecord) -> dict[str, Any]:
    """Return the values of a record by column."""
    texts = {
        name: storable(json.dumps(getattr(record, name), sort_keys=True, ensure_ascii=False)) for name in _JSON_COLUMNS
    }
    return {**vars(record), **texts}


def storable(text: str) -> str:
    """Return text that SQLite accepts: lone surrogates, which JSON and file names can contain, become "?"."""
    return text.encode("utf-8", "replace").decode()
