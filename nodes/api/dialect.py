"""What a dialect is: how to say submit, poll and balance to one kind of service, and how to read its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..core.errors import ServiceError
from .request import VideoRequest
from .task import Balance, TaskResult

Json = Any
"""Decoded JSON of any shape; everything read from it is checked."""


@dataclass(frozen=True)
class Call:
    """One HTTP call, relative to the base URL."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Json] | None = None


class Dialect(Protocol):
    """Pure translation, no I/O. Nothing outside a dialect's module knows its vendor's paths and fields."""

    def submit(self, request: VideoRequest) -> Call:
        """The paid call."""

    def task_id(self, payload: Json) -> str:
        """The id in the answer to `submit`; raises ServerError where there is none."""

    def result(self, task_id: str) -> Call:
        """The call that asks how far a task is."""

    def task(self, payload: Json, task_id: str) -> TaskResult:
        """The answer to `result`; raises ServerError where it is none."""

    def failure_advice(self, reason: str) -> str:
        """What to do about the reason of a failed task, "" where nothing is known of it."""

    def balance(self) -> Call:
        """The free call that tells a good key from a bad one."""

    def account(self, payload: Json) -> Balance:
        """The answer to `balance`; raises ServerError where it is none."""

    def error(self, status: int, payload: Json, *, submitting: bool, retry_after: float | None) -> ServiceError:
        """The error for an answer that is not 2xx. payload is None where the body was no JSON."""
