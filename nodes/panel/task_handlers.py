"""Handlers of the routes about tasks, and the data of the event about them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..core.hosts import HOSTS, SANDBOX
from ..ledger import TaskFilter
from ..ledger.budget import day_bounds
from ..ledger.task_list import MAX_PAGE_RECORDS
from ..services import Process
from .access import is_local
from .events import Announcer, SendEvent
from .removal import remove_task
from .responses import error_text, json_body, json_response, private_folders, problem
from .thumbnails import FOLDER as THUMBNAIL_FOLDER
from .thumbnails import Thumbnails
from .views import GROUPS, counts_view, inputs_view, task_view, totals_view

if TYPE_CHECKING:
    from ..ledger import TaskRecord

log = logging.getLogger(__name__)

FETCH_SECONDS = 2.0
"""How long a fetch gets to fail at once, so that the user sees the reason."""
FETCH_TIMEOUT_SECONDS = 3600.0

_FILTER_RULES = (
    f"group must be one of {', '.join(GROUPS)}; host must be one of {', '.join((SANDBOX, *HOSTS))}; day must be a date "
    "such as 2026-11-26."
)

_THUMBNAIL_HEADERS = {
    "Content-Type": "image/jpeg",
    "Cache-Control": "private, max-age=604800, immutable",
    "X-Content-Type-Options": "nosniff",
}


class TaskHandlers:
    """The handlers and what they remember between two requests. routes.py documents what they answer.

    `send` sends an event and its data to all browsers. It is called on `loop`, ComfyUI's event loop.
    """

    def __init__(self, process: Process, send: SendEvent, loop: asyncio.AbstractEventLoop) -> None:
        self._process = process
        self.announcer = Announcer(send, self._tasks_event, loop)
        self._fetching: set[asyncio.Task[Any]] = set()
        self._thumbnails = Thumbnails()

    async def get_ids(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/task_ids."""
        wanted = _filter(request)
        if wanted is None:
            return problem(_FILTER_RULES, status=400)

        def read(wanted: TaskFilter) -> dict[str, Any]:
            totals = self._process.ledger().task_list.host_totals(wanted.day) if wanted.day else []
            return {"ids": self._process.ledger().task_list.ids(wanted), "totals": totals_view(totals)}

        return json_response(await asyncio.to_thread(read, wanted))

    async def get_page(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/tasks."""
        if "ids" in request.query:
            return await self._get_tasks_by_id(request.query["ids"].split(","))
        wanted, before, limit = _filter(request), request.query.get("before"), request.query.get("limit", "50")
        if wanted is None or not _is_number(limit) or not (before is None or _is_number(before)):
            return problem(f"{_FILTER_RULES} limit and before must be numbers.", status=400)

        def read(wanted: TaskFilter) -> dict[str, Any]:
            below = None if before is None else int(before)
            page = self._process.ledger().task_list.page(wanted, before=below, limit=int(limit))
            return {"tasks": self._views(page.records), "total": page.total, "before": page.before}

        return json_response(await asyncio.to_thread(read, wanted))

    async def _get_tasks_by_id(self, ids: Sequence[str]) -> web.StreamResponse:
        if len(ids) > MAX_PAGE_RECORDS or not all(map(_is_number, ids)):
            return problem(f"ids must be at most {MAX_PAGE_RECORDS} numbers, separated by commas.", status=400)

        def read() -> dict[str, Any]:
            return {"tasks": self._views(self._process.ledger().task_list.records([int(each) for each in ids]))}

        return json_response(await asyncio.to_thread(read))

    async def get_task(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/tasks/{id}."""

        def read() -> dict[str, Any] | None:
            record = self._find_record(request)
            return None if record is None else {**self._view(record), "inputs": inputs_view(record)}

        view = await asyncio.to_thread(read)
        return _no_task() if view is None else json_response(view)

    async def get_workflow(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/tasks/{id}/workflow."""
        if not is_local(request):
            return problem("Kept workflows are only for a browser on the machine that runs ComfyUI.", status=403)

        def read() -> dict[str, Any] | None:
            record = self._find_record(request)
            return None if record is None else self._process.ledger().workflows.find(record.prompt_id)

        workflow = await asyncio.to_thread(read)
        if workflow is None:
            return problem("The workflow of this task was not kept.", status=404)
        return json_response({"workflow": workflow})

    async def get_thumbnail(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/posters/{id}."""
        record = await asyncio.to_thread(self._find_record, request)
        folder = self._process.user_dir / THUMBNAIL_FOLDER
        path = None
        try:
            if record is not None:
                path = await self._thumbnails.get(record, output_dir=self._process.output_dir, folder=folder)
        except Exception as error:  # a video that cannot be decoded has no thumbnail, whatever is wrong with it
            log.info("Wan 2.7: no thumbnail: %s", error)
        if path is None:
            return problem("This task has no thumbnail.", status=404)
        return web.FileResponse(path, headers=_THUMBNAIL_HEADERS)

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /wan27/tasks/{id}/fetch."""
        record = await asyncio.to_thread(self._find_record, request)
        if record is None or not record.task_id:
            return problem("This task has no id, so the service cannot be asked for it.", status=409)
        found = await self._process.services()
        waiting = asyncio.ensure_future(
            found.runner.wait(
                record.task_id,
                connection=found.connection,
                on_update=lambda progress: None,
                timeout_seconds=FETCH_TIMEOUT_SECONDS,
            )
        )
        self._fetching.add(waiting)
        waiting.add_done_callback(self._fetch_ended)
        await asyncio.wait({waiting}, timeout=FETCH_SECONDS)
        failure = waiting.exception() if waiting.done() else None
        if failure is not None:
            return problem(error_text(failure, self._process), status=409)
        return json_response({"started": True}, status=202)

    def _fetch_ended(self, waiting: asyncio.Task[Any]) -> None:
        self._fetching.discard(waiting)
        if not waiting.cancelled() and (error := waiting.exception()) is not None:
            log.warning("Wan 2.7: %s", error)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /wan27/tasks/{id}/cancel."""
        record = await asyncio.to_thread(self._find_record, request)
        if record is None or record.state != "submitted":
            return problem("This task does not run at the service, so there is nothing to cancel.", status=409)
        connection = await asyncio.to_thread(self._process.connection_named, record.connection, record.base_url)
        if connection is None:
            return problem(f"The settings have no key for {record.connection}, where this task runs.", status=409)
        found = await self._process.services()
        await found.runner.cancel(record, connection=connection)
        return json_response({"canceled": True}, status=202)

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /wan27/tasks/{id}/remove."""
        with_file = (await json_body(request)).get("delete_file", False)
        if not isinstance(with_file, bool):
            return problem("delete_file must be true or false.", status=400)
        record = await asyncio.to_thread(self._find_record, request)
        if record is None:
            return _no_task()
        ledger, output_dir = self._process.ledger(), self._process.output_dir
        await asyncio.to_thread(remove_task, ledger, record, output_dir=output_dir, with_file=with_file)
        return await self.get_task(request)

    async def restore(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /wan27/tasks/{id}/restore."""
        record = await asyncio.to_thread(self._find_record, request)
        if record is None:
            return _no_task()
        await asyncio.to_thread(self._process.ledger().show, record.id)
        return await self.get_task(request)

    def _tasks_event(self, ids: frozenset[int]) -> dict[str, Any]:
        """Return the data of the event wan27.tasks for records that changed."""
        ledger = self._process.ledger()
        counts = counts_view(ledger)
        views = self._views(ledger.task_list.records(sorted(ids)))
        return {**counts, "total": counts["tasks"], "tasks": views}

    def _views(self, records: Sequence[TaskRecord]) -> list[dict[str, Any]]:
        return [self._view(record) for record in records]

    def _view(self, record: TaskRecord) -> dict[str, Any]:
        process = self._process
        return task_view(
            record,
            self.announcer.latest(record.task_id),
            output_dir=process.output_dir,
            folders=private_folders(process),
            has_workflow=process.ledger().workflows.has(record.prompt_id),
        )

    def _find_record(self, request: web.Request) -> TaskRecord | None:
        found = self._process.ledger().task_list.records([int(request.match_info["id"])])
        return found[0] if found else None


def _no_task() -> web.Response:
    return problem("This task does not exist.", status=404)


def _filter(request: web.Request) -> TaskFilter | None:
    """Return which tasks a query asks for, None if it has a bad value."""
    query = request.query
    group, host, day = query.get("group", "all"), query.get("host", ""), query.get("day", "")
    if group not in GROUPS or host not in ("", SANDBOX, *HOSTS) or not (day == "" or _is_day(day)):
        return None
    return TaskFilter(GROUPS[group], query.get("text", "").strip()[:200], host, day, hidden=group == "removed")


def _is_day(text: str) -> bool:
    try:
        day_bounds(text)
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
