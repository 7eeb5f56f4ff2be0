"""A host over HTTP: submit a request, query or cancel a task, ask for the balance. Retries are up to the caller."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import httpx

from ..core import errors
from ..core.backoff import retry_after_seconds
from ..core.redaction import Redactor
from .connection import Connection
from .dialect import Answer, Call
from .request import VideoRequest
from .task import Balance, PastTask, TaskHandle, TaskResult

T = TypeVar("T")

SHORTEST_KEY = 8
"""Characters. A shorter key is not taken out of answers: it could be part of a task id or a link."""

TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=30.0)
"""Seconds. A request with an inline image has up to 27 MB; the answer comes at once after that."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
"""Raised before the first byte of the request leaves: it cannot have arrived."""


_NO_TASK_KNOWN = "It is unknown whether a task was created."

CALLS_PER_POLL = 3
"""More than any host needs to tell the state of a task."""

LIST_PAGES = 10
"""Pages of a host's list that are read for one look; each has 100 tasks or so."""


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
            RequestError: the host would refuse the request, or it cannot be encoded.
        """
        self._require_key()
        if problems := self._dialect.problems(request):
            raise errors.RequestError("\n".join(problems))
        call = self._dialect.submit(request)
        try:
            self._submit_http.build_request(**self._connection.arguments(call), timeout=TIMEOUT)
        except (TypeError, ValueError) as error:
            raise errors.RequestError(
                f"The request cannot be sent: {self._describe(error)}. Change its texts and values."
            ) from error

    async def submit(self, request: VideoRequest) -> TaskHandle:
        """POST a request once, and return the handle of its task. This is the call that costs money.

        Raises:
            NotDeliveredError: it certainly did not arrive.
            OutcomeUnknownError: it may have arrived, as after a 5xx: never send it again automatically.
            ServiceError: the host refused it (4xx) and did not create a task.
        """
        self._require_key()
        try:
            answer = await self._perform(self._submit_http, self._dialect.submit(request))
        except _NEVER_SENT as error:
            raise self._unreachable(error) from error
        except httpx.HTTPError as error:
            raise errors.OutcomeUnknownError(
                f"The request was sent to {self._service()} but no answer came back: {self._describe(error)}."
            ) from error
        try:
            return self._connection.trusted(self._read(lambda: self._dialect.read_submit(answer)))
        except errors.ServiceError as error:
            if error.status is not None and 400 <= error.status < 500:
                raise
            accepted = 200 <= self._dialect.status(answer) < 300
            what = "The request was accepted, but its task id is missing." if accepted else _NO_TASK_KNOWN
            raise errors.OutcomeUnknownError(f"{what} {error}") from error

    async def result(self, task: TaskHandle) -> TaskResult:
        """Query the state of a task.

        Raises:
            NotDeliveredError: the network failed; querying again is free.
            ServiceError: what the host said, such as TaskNotFoundError or RateLimitError.
        """
        task = self._connection.trusted(task)
        call = self._dialect.poll(task)
        for _ in range(CALLS_PER_POLL):
            answer = await self._ask(call)
            found = self._read(partial(self._dialect.read_poll, task, call, answer))
            if isinstance(found, TaskResult):
                return replace(found, reason=self._redactor.redact(found.reason))
            call = found
        raise errors.ServerError(f"{self._service()} did not report the state of task {task.task_id}.")

    async def cancel(self, task: TaskHandle) -> None:
        """Cancel a task. What that costs is in `Capabilities.cancels`. Raises as `result`.

        Raises:
            ServiceError: the host did not cancel it, most often because it has started or ended.
        """
        call = self._dialect.cancel(self._connection.trusted(task))
        if call is None:
            raise errors.ServiceError(f"{self._connection.host.title} cannot cancel a task.")
        answer = await self._ask(call)
        self._read(lambda: self._dialect.payload(answer))

    async def balance(self) -> Balance | None:
        """Query the account's balance, which is free. None if the host does not report it. Raises as `result`."""
        call = self._dialect.balance()
        if call is None:
            return None
        answer = await self._ask(call)
        return self._read(lambda: self._dialect.read_balance(answer))

    async def check_key(self) -> Balance | None:
        """Find out for free whether the key is valid, and return the balance if the host tells it to this key.

        Raises as `result`: an AuthenticationError if the key is not valid.
        """
        call = self._dialect.key_check()
        if call is None or call == self._dialect.balance():
            return await self.balance()
        answer = await self._ask(call)
        self._read(lambda: self._dialect.payload(answer))
        with contextlib.suppress(errors.ServiceError):  # the key is valid, but some hosts want another one for this
            return await self.balance()
        return None

    async def past_tasks(self, since: float, until: float) -> list[PastTask] | None:
        """Return the account's tasks of this model from a time on, seconds since 1970. Raises as `result`.

        Returns: None if the host does not list tasks. A list can lack tasks that still run, and contain some from
        outside the time.
        """
        tasks: list[PastTask] = []
        page = ""
        for _ in range(LIST_PAGES):
            call = self._dialect.list_tasks(since, until, page)
            if call is None:
                return None
            answer = await self._ask(call)
            found = self._read(partial(self._dialect.read_list, answer, since))
            tasks += found.tasks
            page = found.next_page
            if not page:
                return tasks
        raise errors.ServerError(f"{self._service()} lists more tasks than can be looked through.")

    async def _ask(self, call: Call) -> Answer:
        """Perform a free call; return its answer, whatever its status."""
        self._require_key()
        try:
            return await self._perform(self._http, call)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def _perform(self, http: httpx.AsyncClient, call: Call) -> Answer:
        arguments = self._connection.arguments(call)
        response = await http.request(**arguments, timeout=TIMEOUT, follow_redirects=False)
        return Answer(
            response.status_code,
            self._json(response),
            response.headers,
            retry_after_seconds(response.headers.get("Retry-After")),
        )

    def _json(self, response: httpx.Response) -> Any:
        """Return the answer without the key, or None if it is not JSON."""
        try:
            return self._redactor.redact_json(response.json())
        except (ValueError, RecursionError):
            return None

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except errors.ServiceError as error:
            raise errors.reworded(error, self._redactor.redact(str(error))) from None

    def _unreachable(self, error: Exception) -> errors.NotDeliveredError:
        return errors.NotDeliveredError(f"{self._service()} cannot be reached: {self._describe(error)}.")

    def _describe(self, error: Exception) -> str:
        return self._redactor.redact(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _require_key(self) -> None:
        if not self._connection.api_key:
            raise errors.AuthenticationError(
                f"No API key is set. Set {self._connection.host.setting('api_key')}; "
                'connection = "sandbox" works without one.'
            )

    def _service(self) -> str:
        return f"The service at {self._connection.base_url}"
