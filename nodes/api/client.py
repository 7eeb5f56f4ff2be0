"""The remote service over HTTP: submit a request, query a task or the balance. Retries are up to the caller."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import httpx

from ..core import errors
from ..core.backoff import retry_after_seconds
from ..core.redaction import Redactor
from .connection import Connection
from .dialect import Call
from .request import VideoRequest
from .task import Balance, TaskResult

T = TypeVar("T")

SHORTEST_KEY = 8
"""Characters. A shorter key is not taken out of answers: it could be part of a task id or a link."""

TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=30.0)
"""Seconds. A request with an inline image has up to 27 MB; the answer comes at once after that."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Raised before the first byte of the request leaves: it cannot have arrived."""


class ServiceClient:
    """Speaks the dialect of a connection through a shared httpx client.

    Args:
        http: shared client. The key is added to each request to base_url, never to the client, so that it cannot
            reach another host. Redirects are not followed.
        submit_http: client for the paid call. It should keep no connections: if the server has closed a pooled one,
            this shows only after sending, and the outcome of a paid request is unknown.
    """

    def __init__(
        self, connection: Connection, http: httpx.AsyncClient, *, submit_http: httpx.AsyncClient | None = None
    ) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        self._http = http
        self._submit_http = submit_http or http
        # What the service says is shown in errors, the log, the ledger and the panel. The sandbox's key is a word.
        self._redactor = Redactor([] if connection.is_sandbox else [connection.api_key], shortest=SHORTEST_KEY)

    def check(self, request: VideoRequest) -> None:
        """Do all that `submit` does before it sends, so that nothing but the network can fail there.

        Raises:
            AuthenticationError: no key is set.
            RequestError: the request cannot be encoded.
        """
        self._require_key()
        try:
            self._submit_http.build_request(**self._arguments(self._dialect.submit(request)))
        except (TypeError, ValueError) as error:
            raise errors.RequestError(
                f"The request cannot be sent: {self._describe(error)}. Change its texts and values."
            ) from error

    async def submit(self, request: VideoRequest) -> str:
        """POST a request once, and return the id of its task. This is the call that costs money.

        Raises:
            NotDeliveredError: it certainly did not arrive.
            OutcomeUnknownError: it may have arrived, as after a 5xx: never send it again automatically.
            ServiceError: the service refused it (4xx) and did not create a task.
        """
        self._require_key()
        try:
            response = await self._send(self._submit_http, self._dialect.submit(request))
        except _NEVER_SENT as error:
            raise self._unreachable(error) from error
        except httpx.HTTPError as error:
            raise errors.OutcomeUnknownError(
                f"The request was sent to {self._service()} but no answer came back: {self._describe(error)}."
            ) from error
        if not response.is_success:
            failure = self._failure(response, submitting=True)
            if 400 <= response.status_code < 500:
                raise failure
            raise errors.OutcomeUnknownError(f"It is unknown whether a task was created. {failure}") from failure
        try:
            return self._read(self._dialect.task_id, self._json(response))
        except errors.ServerError as error:
            raise errors.OutcomeUnknownError(
                f"The request was accepted, but its task id is missing. {error}"
            ) from error

    async def result(self, task_id: str) -> TaskResult:
        """Query the state of a task.

        Raises:
            NotDeliveredError: the network failed; querying again is free.
            ServiceError: what the service said, such as TaskNotFoundError or RateLimitError.
        """
        payload = await self._get(self._dialect.result(task_id))
        found = self._read(lambda answer: self._dialect.task(answer, task_id), payload)
        return replace(found, reason=self._redactor.redact(found.reason))

    async def balance(self) -> Balance:
        """Query the account's balance. This is free, and shows whether the key is valid. Raises as `result`."""
        return self._read(self._dialect.account, await self._get(self._dialect.balance()))

    async def _get(self, call: Call) -> Any:
        self._require_key()
        try:
            response = await self._send(self._http, call)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            raise self._failure(response, submitting=False)
        payload = self._json(response)
        if payload is None:
            raise errors.ServerError(f"{self._service()} sent something that is not JSON.", status=response.status_code)
        return payload

    async def _send(self, http: httpx.AsyncClient, call: Call) -> httpx.Response:
        return await http.request(**self._arguments(call), follow_redirects=False)

    def _arguments(self, call: Call) -> dict[str, Any]:
        return {
            "method": call.method,
            "url": self._connection.base_url + call.path,
            "params": call.params,
            "content": None if call.json is None else _encoded(call.json),
            "headers": {"Authorization": f"Bearer {self._connection.api_key}", "Content-Type": "application/json"},
            "timeout": TIMEOUT,
        }

    def _failure(self, response: httpx.Response, *, submitting: bool) -> errors.ServiceError:
        return self._redacted(
            self._dialect.error(
                response.status_code,
                self._json(response),
                submitting=submitting,
                retry_after=retry_after_seconds(response.headers.get("Retry-After")),
            )
        )

    def _json(self, response: httpx.Response) -> Any:
        """Return the answer without the key, or None if it is not JSON."""
        try:
            return self._redactor.redact_json(response.json())
        except (ValueError, RecursionError):
            return None

    def _read(self, read: Callable[[Any], T], payload: Any) -> T:
        try:
            return read(payload)
        except errors.ServiceError as error:
            raise self._redacted(error) from None

    def _redacted(self, error: errors.ServiceError) -> errors.ServiceError:
        return errors.reworded(error, self._redactor.redact(str(error)))

    def _unreachable(self, error: Exception) -> errors.NotDeliveredError:
        return errors.NotDeliveredError(f"{self._service()} cannot be reached: {self._describe(error)}.")

    def _describe(self, error: Exception) -> str:
        return self._redactor.redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _require_key(self) -> None:
        if not self._connection.api_key:
            raise errors.AuthenticationError(
                "No API key is set. Set api_key under [novita] in config.toml, or NOVITA_API_KEY; "
                'connection = "sandbox" works without one.'
            )

    def _service(self) -> str:
        return f"The service at {self._connection.base_url}"


def _encoded(body: dict[str, Any]) -> bytes:
    """Return a body as JSON. Older versions of httpx would send half a surrogate pair instead of refusing it."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
