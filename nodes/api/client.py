"""The remote service over HTTP: submit, ask for a task, ask for the balance. No retries: those are the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import httpx

from ..core.backoff import retry_after_seconds
from ..core.errors import (
    AuthenticationError,
    NotDeliveredError,
    OutcomeUnknownError,
    ServerError,
    ServiceError,
    reworded,
)
from ..core.redaction import Redactor
from .connection import Connection
from .dialect import Call
from .request import VideoRequest
from .task import Balance, TaskResult

T = TypeVar("T")

TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=30.0)
"""Seconds. Submitting an inline picture means up to 27 MB of body; the answer comes at once after that."""

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
"""Raised before a byte of the request left: it cannot have arrived."""


class ServiceClient:
    """Speaks one connection's dialect through a shared httpx client.

    Args:
        connection: where to, and with which key.
        http: shared client. The key is put on each request to base_url, never on the client,
            so that it cannot go to another host; redirects are not followed.
        submit_http: client for the paid call, best one that keeps no connections alive: a pooled connection that
            the other side has closed meanwhile shows it only after sending, and leaves a paid request in doubt.
    """

    def __init__(
        self, connection: Connection, http: httpx.AsyncClient, *, submit_http: httpx.AsyncClient | None = None
    ) -> None:
        self._connection = connection
        self._http = http
        self._submit_http = submit_http or http
        # What the service says ends up in errors, the log, the ledger and the panel.
        # The sandbox's key is an ordinary word.
        self._redactor = Redactor([] if connection.is_sandbox else [connection.api_key])

    async def submit(self, request: VideoRequest) -> str:
        """POST a request, once, and return the task id. This is the call that costs money.

        Raises:
            NotDeliveredError: it surely never arrived.
            OutcomeUnknownError: it may have arrived; never send it again without asking.
            ServiceError: the service refused it (4xx); nothing was made. 5xx raise OutcomeUnknownError.
        """
        self._need_key()
        call = self._connection.dialect.submit(request)
        try:
            response = await self._send(self._submit_http, call)
        except _NEVER_SENT as error:
            raise NotDeliveredError(f"{self._where()} cannot be reached: {self._said(error)}.") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknownError(
                f"The request went out to {self._where()} and no answer came back: {self._said(error)}."
            ) from error
        if response.status_code >= 500 or (response.status_code < 400 and not response.is_success):
            failure = self._failure(response, submitting=True)
            raise OutcomeUnknownError(f"It cannot be told whether a task was made. {failure}") from failure
        if not response.is_success:
            raise self._failure(response, submitting=True)
        try:
            return self._read(self._connection.dialect.task_id, self._json(response))
        except ServerError as error:
            raise OutcomeUnknownError(f"The request was accepted, but its task id is missing. {error}") from error

    async def result(self, task_id: str) -> TaskResult:
        """Ask how far a task is.

        Raises:
            NotDeliveredError: network trouble; asking again is free.
            ServiceError: what the service said, such as TaskNotFoundError or RateLimitError.
        """
        payload = await self._get(self._connection.dialect.result(task_id))
        found = self._read(lambda answer: self._connection.dialect.task(answer, task_id), payload)
        return replace(
            found, reason=self._redactor.redact(found.reason), raw_status=self._redactor.redact(found.raw_status)
        )

    async def balance(self) -> Balance:
        """Ask for the account's balance: free, and tells a good key from a bad one. Raises as `result`."""
        payload = await self._get(self._connection.dialect.balance())
        return self._read(self._connection.dialect.account, payload)

    async def _get(self, call: Call) -> Any:
        self._need_key()
        try:
            response = await self._send(self._http, call)
        except httpx.HTTPError as error:
            raise NotDeliveredError(f"{self._where()} cannot be reached: {self._said(error)}.") from error
        if not response.is_success:
            raise self._failure(response, submitting=False)
        payload = self._json(response)
        if payload is None:
            raise ServerError(f"{self._where()} sent something that is no JSON.", status=response.status_code)
        return payload

    async def _send(self, http: httpx.AsyncClient, call: Call) -> httpx.Response:
        return await http.request(
            call.method,
            self._connection.base_url + call.path,
            params=dict(call.params) or None,
            json=None if call.json is None else dict(call.json),
            headers={"Authorization": f"Bearer {self._connection.api_key}"},
            timeout=TIMEOUT,
            follow_redirects=False,
        )

    def _failure(self, response: httpx.Response, *, submitting: bool) -> Exception:
        return self._redacted(
            self._connection.dialect.error(
                response.status_code,
                self._json(response),
                submitting=submitting,
                retry_after=retry_after_seconds(response.headers.get("Retry-After")),
            )
        )

    def _json(self, response: httpx.Response) -> Any:
        """The answer without the key, None where it is no JSON."""
        try:
            return self._redactor.redact_json(response.json())
        except (ValueError, RecursionError):
            return None

    def _read(self, read: Callable[[Any], T], payload: Any) -> T:
        try:
            return read(payload)
        except ServiceError as error:
            raise self._redacted(error) from None

    def _redacted(self, error: ServiceError) -> ServiceError:
        redacted = reworded(error, self._redactor.redact(str(error)))
        redacted.reason = self._redactor.redact(error.reason)
        return redacted

    def _said(self, error: Exception) -> str:
        """The name of a transport error and its text."""
        return self._redactor.redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _need_key(self) -> None:
        if not self._connection.api_key:
            raise AuthenticationError(
                "No API key is set. Set api_key under [novita] in config.toml, or NOVITA_API_KEY; "
                'connection = "sandbox" works without one.'
            )

    def _where(self) -> str:
        return f"The service at {self._connection.base_url}"
