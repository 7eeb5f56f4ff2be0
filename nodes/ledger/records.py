"""A task as the ledger has it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["intent", "submitted", "succeeded", "saved", "failed", "unknown"]


@dataclass(frozen=True)
class TaskRow:
    """One row of the table `tasks`; see `schema` for what the fields mean. The URL never shows in a repr."""

    id: int
    fingerprint: str
    state: State
    task_id: str | None
    service: str
    connection: str
    base_url: str
    request: Mapping[str, Any] = field(repr=False)
    estimate: float | None
    counted: bool
    run_id: str
    prompt_id: str
    node_id: str
    owner: str
    reason: str
    seed: int | None
    result_url: str | None = field(repr=False)
    result_expires_at: float | None
    file: str | None
    file_size: int | None
    file_sha256: str | None
    video: Mapping[str, Any]
    created_at: float
    post_started_at: float | None
    submitted_at: float | None
    executed_at: float | None
    completed_at: float | None
    saved_at: float | None

    @property
    def began_at(self) -> float:
        """When the task began, in seconds since 1970."""
        return self.submitted_at or self.created_at


def task_row(row: sqlite3.Row) -> TaskRow:
    """A `TaskRow` from a row with every column."""
    values = dict(row)
    for name in ("request", "video"):
        values[name] = json.loads(values[name])
    del values["file_fingerprint"]  # only ever searched for
    values["counted"] = bool(values["counted"])
    return TaskRow(**values)


def storable(text: str) -> str:
    """Text that SQLite takes: without half characters, such as those in a file's name of another encoding."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Claim:
    """What one order asks of the ledger. estimate in USD; counted: whether money is really spent there.

    fingerprint takes media by what they show, file_fingerprint by the bytes of their files: a row that shares either is
    of the same request.
    """

    fingerprint: str
    file_fingerprint: str
    reuse: bool
    service: str
    connection: str
    base_url: str
    request: str
    estimate: float
    counted: bool
    run_id: str
    prompt_id: str
    node_id: str


@dataclass(frozen=True)
class Claimed:
    """The ledger's answer: the row to go on with, and whether the caller has to send the request (`new`)."""

    row: TaskRow
    new: bool
