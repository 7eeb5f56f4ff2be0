"""The interface of a dialect: how to express calls to one kind of service, and how to read its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..core.errors import ServiceError
from .request import VideoRequest
from .task import Balance, TaskResult

Json = Any
"""Decoded JSON of any shape. Everything that is read from it is checked."""


@dataclass(frozen=True)
class Call:
    """One HTTP call, relative to the base URL."""

    method: str
    path: str
    params: dict[str, str] | None = None
    json: dict[str, Json] | None = None


class Dialect(Protocol):
    """Pure translation without I/O. Nothing outside a dialect's module knows its vendor's paths and fields."""

    def submit(self, request: VideoRequest) -> Call:
        """Return the paid call."""

    def task_id(self, payload: Json) -> str:
        """Read the task id from the answer to `submit`. Raises ServerError if there is none."""

    def result(self, task_id: str) -> Call:
        """Return the call that queries a task."""

    def task(self, payload: Json, task_id: str) -> TaskResult:
        """Read the answer to `result`. Raises ServerError if it cannot be read."""

    def failure_advice(self, reason: str) -> str:
        """Return what to do about the reason of a failed task, or "" if the reason is not known."""

    def balance(self) -> Call:
        """Return the free call that shows whether the key is valid."""

    def account(self, payload: Json) -> Balance:
        """Read the answer to `balance`. Raises ServerError if it cannot be read."""

    def error(self, status: int, payload: Json, *, submitting: bool, retry_after: float | None) -> ServiceError:
        """Return the error for an answer that is not 2xx. `payload` is None if the body is not JSON."""
