"""Finds the task of a request whose answer was lost, in the host's own list of tasks.

A task is adopted only if it can be no other's: it is the only one in the list that fits the request and the time, the
ledger does not know it, and it fits no other request from here whose outcome is open. Everything else stays unknown:
the user decides, with the candidates in the error. Nothing is ever sent again.

What cannot be told apart is the same request from another machine with the same key in the same minutes: with media
under the same public URLs, as uploads have URLs of their own; at hosts that list no inputs, with the same prompt. If
the list of a host lacks tasks that still run, that one can be taken while our own is not there yet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..api.client import ServiceClient
from ..api.connection import Connection
from ..api.request import VideoRequest
from ..api.task import PastTask
from ..core.errors import OutcomeUnknownError, Wan27Error
from ..ledger import Ledger, TaskRecord
from . import messages
from .fingerprint import stored_request
from .submission import Submission

log = logging.getLogger(__name__)

CLOCK_SECONDS = 60.0
"""The clock of the host may differ from this machine's by so much. If it is more, the task is not found: that is safe,
and a wider window would contain more tasks of others."""
ANSWER_SECONDS = 180.0
"""A POST has arrived this long after it began, or never: its timeouts add up to less."""
PROMPTS = 20
"""Candidates that are asked for their prompt in one look, if the list does not contain the requests."""


class Looks(NamedTuple):
    """The pauses before each look at the list, in seconds: while the node waits, and then in the background.

    Several, because the list of a host can lack a task that has not ended: half an hour covers a long queue.
    """

    while_waiting: Sequence[float] = (3.0, 12.0, 30.0)
    later: Sequence[float] = (60.0, 120.0, 240.0, 480.0, 960.0)


class Look(NamedTuple):
    """What a look found: the record as it is now, and the ids of the tasks that could be its own."""

    record: TaskRecord
    candidates: list[str]


@dataclass(frozen=True)
class _Candidate:
    """A task in a host's list. `request` is as the ledger stores it, None if the list does not contain it."""

    task: PastTask
    request: Mapping[str, Any] | None
    prompt: str | None = None

    @property
    def is_certain(self) -> bool:
        """Whether enough is known of it to adopt it, and not only to name it."""
        return bool(self.task.times) and (self.request is not None or bool(self.prompt))

    def fits(self, record: TaskRecord, ignored: Sequence[str]) -> bool:
        """Return whether it can be the task of a record, as far as is known of it."""
        if self.task.times and not any(_in_window(record, time) for time in self.task.times):
            return False
        if self.request is not None:
            return _without(self.request, ignored) == _without(record.request, ignored)
        return self.prompt is None or self.prompt == (record.request.get("prompt") or "")


class LostAnswers:
    """Looks for tasks at the hosts that list them. Used on the runner's event loop only."""

    def __init__(self, ledger: Ledger, client_for: Callable[[Connection], ServiceClient], looks: Looks) -> None:
        self.looks = looks
        self._ledger, self._client_for = ledger, client_for
        self._looking = asyncio.Lock()

    @staticmethod
    def can_look(connection: Connection) -> bool:
        """Return whether the host lists its tasks."""
        return connection.dialect.list_tasks(0.0, 0.0) is not None

    async def find(self, submission: Submission, error: OutcomeUnknownError) -> str:
        """Return the id of the task of a request whose answer was just lost.

        Raises OutcomeUnknownError if it does not turn up while a caller waits.
        """
        connection, record_id = submission.order.connection, submission.record.id
        if not self.can_look(connection):
            raise error
        look: Look | None = None
        for pause in self.looks.while_waiting:
            await submission.pause(pause)
            if submission.unwanted.is_set():
                break
            look = await self.look(record_id, connection)
            if look is not None and look.record.task_id:
                return look.record.task_id
        if look is None or look.record.state != "unknown":
            raise error
        searched = messages.searched(connection.host.title, look.candidates)
        raise OutcomeUnknownError(messages.answer_lost(look.record.reason, searched)) from error

    async def look(self, record_id: int, connection: Connection) -> Look | None:
        """Look for the task of a record once, and adopt it if it can be no other's. None if the list cannot be read."""
        async with self._looking:
            try:
                return await self._look(record_id, connection)
            except Wan27Error as error:
                log.info("Wan 2.7: the list of tasks cannot be read: %s", error)
                return None

    async def _look(self, record_id: int, connection: Connection) -> Look:
        await asyncio.to_thread(self._ledger.recover)
        record = await asyncio.to_thread(self._ledger.get, record_id)
        if record.state != "unknown" or record.post_started_at is None:
            return Look(record, [])
        client = self._client_for(connection)
        since = record.post_started_at - CLOCK_SECONDS
        past = await client.past_tasks(since, self._ledger.now() + CLOCK_SECONDS) or []
        past = [task for task in past if not task.times or any(_in_window(record, time) for time in task.times)]
        candidates = [await asyncio.to_thread(self._candidate, task) for task in past]
        known = await asyncio.to_thread(self._ledger.known_task_ids, [each.task.handle.task_id for each in candidates])
        candidates = [each for each in candidates if each.task.handle.task_id not in known]
        candidates = [await self._with_prompt(client, each, number) for number, each in enumerate(candidates)]
        look = Look(*await asyncio.to_thread(self._settle, record, candidates, connection))
        if look.record.task_id:
            log.warning("Wan 2.7: the answer to a request was lost; its task %s was found.", look.record.task_id)
        return look

    def _candidate(self, task: PastTask) -> _Candidate:
        if task.inputs is None:
            return _Candidate(task, None)

        def content(url: str) -> str | None:
            upload = self._ledger.uploads.by_url(url)
            return None if upload is None else upload.content

        try:
            return _Candidate(task, stored_request(VideoRequest(**task.inputs), content))
        except (TypeError, ValueError, AttributeError):
            return _Candidate(task, {})  # of another program, which sends other things than this pack

    async def _with_prompt(self, client: ServiceClient, candidate: _Candidate, number: int) -> _Candidate:
        if candidate.request is not None or number >= PROMPTS:
            return candidate
        try:
            result = await client.result(candidate.task.handle)
        except Wan27Error:
            return candidate
        return _Candidate(candidate.task, None, result.prompt)

    def _settle(
        self, record: TaskRecord, candidates: Sequence[_Candidate], connection: Connection
    ) -> tuple[TaskRecord, list[str]]:
        ignored = () if connection.dialect.capabilities.watermark else ("watermark",)
        by_id = {each.task.handle.task_id: each for each in candidates}
        fitting = self._ledger.adopt_lost(
            record.id,
            {task_id: each.task.handle.kept for task_id, each in by_id.items()},
            fits=lambda other, task_id: by_id[task_id].fits(other, ignored),
            certain={task_id for task_id, each in by_id.items() if each.is_certain},
        )
        return self._ledger.get(record.id), fitting


def _in_window(record: TaskRecord, time: float) -> bool:
    """Return whether a task that was created at a time, by the host's clock, can be from the POST of a record."""
    began = record.post_started_at or record.created_at
    return began - CLOCK_SECONDS <= time <= began + ANSWER_SECONDS + CLOCK_SECONDS


def _without(request: Mapping[str, Any], ignored: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in ignored}
