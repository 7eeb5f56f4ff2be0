"""All errors meant for the user. Each says what was wrong, with the value and the limit, and what to do.

Wan27Error
├── RequestError            refused here, before anything was sent (also a ValueError)
├── BudgetError             a limit of `[budget]` would be exceeded
├── LedgerError             the record of paid tasks cannot be read or written
├── ServiceError            the service answered with an error
│   ├── AuthenticationError     no key, a bad key, or a key without the right
│   ├── BalanceError            the account is empty
│   ├── ContentError            prompt or media were judged unsafe or protected
│   ├── MediaRefusedError       a media file is outside the limits, or could not be fetched
│   ├── RateLimitError          too many requests
│   ├── ModelNotFoundError      404 on submit: model retired, or wrong base URL
│   ├── TaskNotFoundError       the account has no such task
│   └── ServerError             5xx, or an answer that cannot be read
│       └── TaskErrorReported       an error instead of a state: either the task failed, or only the query
├── NotDeliveredError       a request certainly did not arrive
├── OutcomeUnknownError     a paid request may have arrived, but its answer was lost
├── TaskFailedError         the task ended without a video
├── WaitTimeoutError        the wait ended, the task continues
└── DownloadError           the finished video could not be downloaded

StorageError and SettingsError are not Wan27Errors: they concern the user's own configuration.
"""

from __future__ import annotations

import copy
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class Wan27Error(Exception):
    """Base of all errors about the service. `str()` is the text for the user."""


class RequestError(Wan27Error, ValueError):
    """The request breaks a rule of the service; nothing was sent."""


class BudgetError(Wan27Error):
    """Submitting would exceed a limit of `[budget]`; nothing was sent."""


class LedgerError(Wan27Error):
    """The ledger cannot be read or written, so nothing that costs money is sent."""


class ServiceError(Wan27Error):
    """The service answered with an error.

    Args:
        status: HTTP status, or None if no answer was read.
        retry_after: seconds the service asked to wait, or None.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AuthenticationError(ServiceError):
    """There is no key, or it is invalid, or it may not use this model."""


class BalanceError(ServiceError):
    """The account's balance does not cover the request."""


class ContentError(ServiceError):
    """The service judged the prompt or a media file unsafe or protected."""


class MediaRefusedError(ServiceError):
    """A media file is outside the service's limits, or the service could not fetch it."""


class RateLimitError(ServiceError):
    """Too many requests. `retry_after` is the time to wait, if the service named one."""


class ModelNotFoundError(ServiceError):
    """404 on submit: the model was retired, or the base URL is wrong."""


class TaskNotFoundError(ServiceError):
    """The account has no task with this id, or no longer has it."""


class ServerError(ServiceError):
    """The service failed, or its answer cannot be read."""


class TaskErrorReported(ServerError):  # noqa: N818 - it reports one
    """The service answered a query for a task with an error that says the task failed, instead of its state."""


class NotDeliveredError(Wan27Error):
    """The request certainly did not reach the service: sending it again cannot bill twice."""


class OutcomeUnknownError(Wan27Error):
    """A paid request may have reached the service, but its answer was lost. It is never repeated automatically."""


class TaskFailedError(Wan27Error):
    """The task ended without a video."""


class WaitTimeoutError(Wan27Error):
    """The wait took longer than allowed. The task continues, and queueing again collects it."""


class DownloadError(Wan27Error):
    """The finished video could not be downloaded, or the file is not a video."""


class StorageError(Exception):
    """A file could not be stored. The text names the setting to change, and never a secret."""


class SettingsError(ValueError):
    """A setting cannot be used. The text names it, its value, the allowed values and the file or variable."""


def reason_of(error: BaseException) -> str:
    """Return the reason of a system error or FFmpeg error, without its number and the path."""
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def reworded(error: E, text: str) -> E:
    """Return a copy of an error with another text and the same cause. The original is unchanged: others may hold it."""
    changed = copy.copy(error)
    changed.args = (text, *error.args[1:])
    changed.__cause__ = error.__cause__
    return changed
