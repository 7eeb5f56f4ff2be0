"""What can go wrong with the remote service, as one tree. Each error says what the service said and what to do.

Wan27Error
├── RequestError            refused here, before anything was sent (also a ValueError)
├── BudgetError             a limit of `[budget]` would be passed
├── LedgerError             the record of paid tasks cannot be read or written
├── ServiceError            the service answered with an error
│   ├── AuthenticationError     no key, a bad key, or a key without the right
│   ├── BalanceError            the account is empty
│   ├── ContentError            prompt or media were judged unsafe or protected
│   ├── MediaRefusedError       a medium is outside the limits, or could not be fetched
│   ├── RateLimitError          too many requests
│   ├── ModelNotFoundError      404 on submit: model retired, or wrong base URL
│   ├── TaskNotFoundError       the account has no such task
│   └── ServerError             5xx, or an answer that cannot be read
│       └── TaskErrorReported       an error where a state was asked for: the task failed, or just the question
├── NotDeliveredError       a request surely never arrived
├── OutcomeUnknownError     a paid request may have arrived, its answer was lost
├── TaskFailedError         the task itself ended without a video
├── WaitTimeoutError        waiting ended, the task goes on
└── DownloadError           the finished video could not be fetched
"""

from __future__ import annotations

import copy
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class Wan27Error(Exception):
    """Base of everything this pack raises about the service. `str()` is the text for the person at the graph."""


class RequestError(Wan27Error, ValueError):
    """The request breaks a rule of the service; nothing was sent."""


class BudgetError(Wan27Error):
    """Submitting would pass a limit of `[budget]`; nothing was sent."""


class LedgerError(Wan27Error):
    """The ledger cannot be used, so nothing that costs money is sent."""


class ServiceError(Wan27Error):
    """The service answered with an error.

    Args:
        message: the whole text for the user.
        status: HTTP status, or None where the error came inside a task.
        reason: the service's own code such as "INVALID_API_KEY", "" where it gave none.
        retry_after: seconds the service asked to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class AuthenticationError(ServiceError):
    """No key, a bad key, or a key without the right to this model."""


class BalanceError(ServiceError):
    """The account's balance does not cover the request."""


class ContentError(ServiceError):
    """The service judged prompt or media unsafe, or protected."""


class MediaRefusedError(ServiceError):
    """A medium is outside the service's limits, or the service could not fetch it."""


class RateLimitError(ServiceError):
    """Too many requests; `retry_after` says how long to wait where the service told."""


class ModelNotFoundError(ServiceError):
    """404 on submit: the model was retired there, or the base URL is wrong."""


class TaskNotFoundError(ServiceError):
    """The account has no task with this id (any more)."""


class ServerError(ServiceError):
    """The service failed, or its answer cannot be read."""


class TaskErrorReported(ServerError):  # noqa: N818 - it reports one
    """Asked for a task, the service answers with an error that says the task failed, instead of with its state."""


class NotDeliveredError(Wan27Error):
    """The request surely never reached the service: sending it again cannot bill twice."""


class OutcomeUnknownError(Wan27Error):
    """A paid request may have reached the service and its answer was lost. It is never repeated by itself."""


class TaskFailedError(Wan27Error):
    """The task ended without a video. `task_id` and `reason` are the service's."""

    def __init__(self, message: str, *, task_id: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.task_id = task_id
        self.reason = reason


class WaitTimeoutError(Wan27Error):
    """Waiting took longer than allowed. The task goes on; queueing again collects it."""


class DownloadError(Wan27Error):
    """The finished video could not be fetched, or what came is no video."""


class StorageError(Exception):
    """A file could not be stored. Names the setting to change; never a secret."""


class SettingsError(ValueError):
    """A setting cannot be used. Names the setting, its value, the allowed values and where it stands."""


def reworded(error: E, text: str) -> E:
    """Return a copy of an error with another text; class, attributes and cause stay. Others may hold the original."""
    changed = copy.copy(error)
    changed.args = (text, *error.args[1:])
    changed.__cause__ = error.__cause__
    return changed
