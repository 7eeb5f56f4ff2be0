"""HTTP routes that this pack adds to ComfyUI's server, and the events it sends over ComfyUI's websocket.

ComfyUI registers each route a second time below /api. An error is {"error": "a sentence for the user"} with a status of
400 or more. No response contains the key, a local path, or the URL of an uploaded file or a result.

Reading (for everyone who can reach ComfyUI; pages of other sites get 403):

GET /wan27/status
    {"problem": null, or a sentence if the settings cannot be used; then only "may_write", "key" and "limits" follow,
     "may_write": whether the writing routes are open to this browser,
     "connection": {"sandbox": bool, "setting": as in config.toml, "host": text or null in the sandbox,
                    "name": of the host, or "sandbox",
                    "note": why this host, if there are keys for several, or null},
     "key": {"host": the title of its host, "present": bool, "source": "environment|file" or null,
             "variable": the environment variable of the key, "last4": text or null,
             "can_change": bool: whether PUT /wan27/settings may set or remove it, from this browser}:
             that of the host that requests go to; in the sandbox, of the first one,
     "hosts": [{"name", "title", "key_page": where to get a key, "key": as above}, …],
     "storage": a kind, or "host" for the host's own upload, "prices": {"720P": USD per second, "1080P": …},
     "budget": {"per_run_usd": …, "per_day_usd": …}, "spent_today_usd": …, "tasks": number of tasks in the list,
     "all_tasks": with those that were taken off the list, "totals_today": totals,
     "reports_balance": whether GET /wan27/balance has an answer,
     "limits": {"prompt_chars": …, "negative_prompt_chars": …, "duration_seconds": [low, high],
                "clip_billed_seconds": [low, high]}}
GET /wan27/balance
    {"problem": null, or a sentence if the service does not report the balance; then nothing else follows,
     "available_usd": …, "outstanding_usd": …,
     "compared": {"since": seconds since 1970, "estimated_usd": of the videos requested since then,
                  "fell_by_usd": by how much the balance is lower than then; negative: higher} or null if it was not
                  known before}
    Asks the service at most every 10 seconds. 409 in the sandbox.
GET /wan27/task_ids?group=all|running|saved|failed|removed&text=…&host=…&day=2026-11-26
    {"ids": [row number, …] of all matches, newest first, "totals": totals of that day, [] without one}
    host: the name of a connection; day: of the server's clock, as in the budget
    totals: [{"connection", "host": title, "tasks", "estimated_usd"}, …] of one day, the highest first
GET /wan27/tasks?ids=3,2,1
    {"tasks": [task, …] of those that exist}, at most 200
GET /wan27/tasks?group=…&text=…&host=…&day=…&limit=1-200&before=…
    {"tasks": [task, …] newest first, "total": number of matches, "before": for the next page, null at the end}
    task: {"id": row number, "task_id": text or null, "state": "intent|submitted|succeeded|saved|failed|unknown|missing"
           (missing: saved, but the file was deleted), "group": "running|saved|failed", "progress": progress or null,
           "removed": whether it was taken off the list, "reason": text, "prompt": at most 400 characters,
           "resolution", "duration": seconds requested, "seed", "sandbox": bool, "connection", "host": its title,
           "day": on which it was requested, "estimated_cost": USD or null, "continues_clip": whether that is the upper
           value of a range, "counted": whether it counts against the budget,
           "cancels": the tasks that its host cancels, "queued" (which then are not billed) or "running" (which may be),
           "" for none or if the task has ended; "can_cancel" of the progress says whether it is possible now,
           "began_at", "ended_at": seconds since 1970 or null, "prompt_id", "has_workflow": whether
           GET …/workflow has an answer for a browser on this machine, "node_id", "seconds",
           "size": [width, height] of the file, "file": {"filename", "subfolder", "type"} for ComfyUI's /view or null,
           "poster": version of the thumbnail or null}
    progress: {"state": "queued|processing|downloading|waiting", "seconds": since it began, "percent", "eta_seconds":
           number or null, "usual_seconds": [p50, p90] of similar tasks or null, "left_seconds": by the last poll, 0 if
           it takes longer than expected, or null, "downloaded_bytes", "total_bytes": or null, "note": text,
           "can_cancel": whether POST …/cancel may succeed}
GET /wan27/tasks/{id}
    task, and "inputs": all that was requested; of a media file, a text that is the same for the same content
GET /wan27/tasks/{id}/workflow
    {"workflow": the graph that requested the task, as the frontend saves it}, or 404. Other packs may keep secrets in
    their widgets, so it is only for a browser on this machine; anything else gets 403.
GET /wan27/posters/{id}
    image/jpeg, at most 320 pixels a side, or 404. Add ?v=<poster of the task>, so that it can be cached.
GET /wan27/examples/{name}
    The workflow of the example of this name, as the frontend saves it, or 404. ComfyUI serves the examples too, but not
    from a folder whose name has spaces or brackets.
GET /wan27/media/{name}
    an uploaded file, for the service (storage.kind "comfyui"); with Range. Every failure is a 404 without a reason

GET /wan27/settings
    {"file": where config.toml is, below ComfyUI's user directory, "may_write": bool,
     "settings": [{"name": path in config.toml, "kind": "choice|number|text|secret", "options": [text, …] of a choice,
                   "default": what applies if it is not set or null, "value": what is set or null (of a secret, and of a
                   URL with a query: always null; of a text: only for a browser on this machine),
                   "source": "environment|file" or null if it is not set, "variable": its environment variable}, …],
     "hosts": [{"name", "title", "key_page", "upload_hours": how long a host keeps an upload, null if it takes none,
                "public_uploads", "reports_balance": bool, "cancels": "|queued|running"}, …],
     "presets": [{"name", "title", "limits", "public", "needs_key"}, …], "checks": the parts of POST /wan27/check}

Writing (from a browser on this machine, from ComfyUI's own page, as application/json; anything else gets 403):

POST /wan27/tasks/{id}/fetch   body {}
    202 {"started": true}: the task is polled and its video fetched. 409: why that is not possible.
POST /wan27/tasks/{id}/cancel  body {}
    202 {"canceled": true}: the host has agreed to cancel a task that has not started; what becomes of it, and of its
    cost, follows as an event. 409: why that is not possible: it has started, or the host cannot.
POST /wan27/tasks/{id}/remove  body {"delete_file": bool, false if it is left out}
    200, the task. It is taken off the list and stays in the ledger, so the same request is not sent again; it returns
    to the list when it gets a video, or when its request is queued again. With the last listed task of its prompt, the
    workflow is deleted. 409: why that is not possible: its video is not on this machine yet, or the file was changed or
    cannot be deleted. 404: no such task. 400: a bad value.
POST /wan27/tasks/{id}/restore body {}
    200, the task, which is back on the list. 404: no such task.
PUT /wan27/settings            body {"set": {name: value, or null to remove it}}
    200, as GET. Written to config.toml, on POSIX with mode 0600, all or none; the rest of the file stays as it is. 409:
    a name is not in the list, its variable is set in the environment and wins, a value cannot be used, or the file
    cannot be changed safely. A key is "<host>.api_key".
POST /wan27/check              body {"part": one of "checks" in the settings}
    200, {"what": the part, "ok": bool, "text": a sentence, "setting": what to change, or ""}. Costs nothing: asks for
    the balance, and uploads a small image and downloads it again. A guard as for writing, as it reaches out.

Events on the websocket:

wan27.tasks      {"tasks": [task, …] added or changed, "spent_today_usd": …, "totals_today": totals,
                  "total": number of tasks in the list, "all_tasks": with those that were taken off it}
wan27.progress   {"progress": {task_id: progress, …}}
wan27.status     {}: the key or the connection changed; request the status again
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..config import MissingKeyError
from ..core.errors import LedgerError, SettingsError, StorageError, Wan27Error
from ..core.hosts import HOSTS, SANDBOX
from ..core.packages import MissingPackagesError
from ..core.redaction import redact_locations
from ..ledger import TaskFilter
from ..ledger.budget import day_bounds, day_of
from ..ledger.task_list import MAX_PAGE_RECORDS
from ..services import Process
from ..storage.comfyui import FOLDER as MEDIA_FOLDER
from ..storage.comfyui import ROUTE as MEDIA_ROUTE
from ..storage.comfyui import find_file as find_media
from ..storage.comfyui import remove_expired
from .access import Handler, is_local, json_response, problem, read_route, write_route
from .events import Announcer, SendEvent
from .removal import remove_task
from .settings import check_part, save_settings, settings_view
from .thumbnails import FOLDER as THUMBNAIL_FOLDER
from .thumbnails import Thumbnails
from .views import (
    GROUPS,
    balance_view,
    inputs_view,
    key_view,
    limits_view,
    status_view,
    task_view,
    totals_view,
)

if TYPE_CHECKING:
    from ..ledger import TaskRecord

log = logging.getLogger(__name__)

STATUS_EVENT = "wan27.status"
_FILTER_RULES = (
    f"group must be one of {', '.join(GROUPS)}; host must be one of {', '.join((SANDBOX, *HOSTS))}; day must be a date "
    "such as 2026-11-26."
)

_EXAMPLES = Path(__file__).absolute().parents[2] / "example_workflows"

FETCH_SECONDS = 2.0
"""How long a fetch gets to fail at once, so that the user sees the reason."""
FETCH_TIMEOUT_SECONDS = 3600.0

_THUMBNAIL_HEADERS = {
    "Content-Type": "image/jpeg",
    "Cache-Control": "private, max-age=604800, immutable",
    "X-Content-Type-Options": "nosniff",
}
# ComfyUI marks images as publicly cacheable for a day, and proxies in front of rented machines obey. Without this, a
# link would outlive its expiry, and a proxy might serve a recompressed image.
_MEDIA_HEADERS = {
    "Cache-Control": "private, no-store, no-transform",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "no-referrer",
}


def register_routes(process: Process, server: Any) -> None:
    """Add the routes to ComfyUI's server and start sending events. Called while ComfyUI loads its packs."""
    with contextlib.suppress(OSError):
        remove_expired(process.user_dir / MEDIA_FOLDER)
    panel = Panel(process, server.send_sync, server.loop)
    panel.add_routes(server.routes)
    process.subscribe(panel.announcer.rows_changed, panel.announcer.progressed)


class Panel:
    """Handlers of the routes, and what they remember between two requests.

    `send` sends an event and its data to all browsers. It is called on ComfyUI's event loop, which runs the handlers.
    """

    def __init__(self, process: Process, send: SendEvent, loop: asyncio.AbstractEventLoop) -> None:
        self._process = process
        self.announcer = Announcer(send, self._tasks_event, loop)
        self._send = send
        self._fetching: set[asyncio.Task[Any]] = set()
        self._thumbnails = Thumbnails()
        self._changing = asyncio.Lock()

    def add_routes(self, routes: web.RouteTableDef) -> None:
        """Add the routes to a table. aiohttp answers HEAD with the handler of GET."""
        reading = {
            "/wan27/status": self._get_status,
            "/wan27/balance": self._get_balance,
            "/wan27/settings": self._get_settings,
            "/wan27/tasks": self._get_tasks,
            "/wan27/task_ids": self._get_task_ids,
            "/wan27/tasks/{id:[0-9]{1,15}}": self._get_task,
            "/wan27/tasks/{id:[0-9]{1,15}}/workflow": self._get_workflow,
            "/wan27/posters/{id:[0-9]{1,15}}": self._get_thumbnail,
            "/wan27/examples/{name}": self._get_example,
        }
        for path, handler in reading.items():
            routes.get(path)(read_route(self._with_json_errors(handler)))
        routes.get(f"{MEDIA_ROUTE}{{name}}")(self._get_media)
        writing = {
            "fetch": self._fetch_task,
            "cancel": self._cancel_task,
            "remove": self._remove_task,
            "restore": self._restore_task,
        }
        for action, handler in writing.items():
            routes.post(f"/wan27/tasks/{{id:[0-9]{{1,15}}}}/{action}")(write_route(self._with_json_errors(handler)))
        routes.put("/wan27/settings")(write_route(self._with_json_errors(self._put_settings)))
        routes.post("/wan27/check")(write_route(self._with_json_errors(self._run_check)))

    async def _get_status(self, request: web.Request) -> web.StreamResponse:
        def read() -> dict[str, Any]:
            settings = self._process.settings()
            connection = None if settings.in_sandbox else self._process.connection_for(settings)
            return status_view(settings, connection, **self._totals(), local=local)

        local = is_local(request)
        try:
            view = await asyncio.to_thread(read)
        except (SettingsError, Wan27Error) as error:
            key = key_view(None, self._host_in_use(), local=local)
            view = {"problem": self._message(error), "may_write": local, "key": key, "limits": limits_view()}
        return json_response(view)

    async def _get_balance(self, request: web.Request) -> web.StreamResponse:
        if self._process.settings().in_sandbox:
            return problem("The sandbox has no account: nothing is billed there.", status=409)
        services = await self._process.services()
        try:
            found = await services.runner.balance(services.connection)
        except Wan27Error as error:
            return json_response({"problem": self._message(error)})
        compared = await asyncio.to_thread(services.ledger.balances.compare_today, found)
        return json_response(balance_view(found, compared))

    async def _get_tasks(self, request: web.Request) -> web.StreamResponse:
        if "ids" in request.query:
            return await self._get_tasks_by_id(request.query["ids"].split(","))
        wanted, before, limit = _filter(request), request.query.get("before"), request.query.get("limit", "50")
        if wanted is None or not _is_number(limit) or not (before is None or _is_number(before)):
            return problem(f"{_FILTER_RULES} limit and before must be numbers.", status=400)

        def read(wanted: TaskFilter) -> dict[str, Any]:
            below = None if before is None else int(before)
            page = self._process.ledger().task_list.page(wanted, before=below, limit=int(limit))
            return {"tasks": [self._view(row) for row in page.records], "total": page.total, "before": page.before}

        return json_response(await asyncio.to_thread(read, wanted))

    async def _get_tasks_by_id(self, ids: Sequence[str]) -> web.StreamResponse:
        if len(ids) > MAX_PAGE_RECORDS or not all(map(_is_number, ids)):
            return problem(f"ids must be at most {MAX_PAGE_RECORDS} numbers, separated by commas.", status=400)

        def read() -> dict[str, Any]:
            rows = self._process.ledger().task_list.records([int(each) for each in ids])
            return {"tasks": [self._view(row) for row in rows]}

        return json_response(await asyncio.to_thread(read))

    async def _get_task_ids(self, request: web.Request) -> web.StreamResponse:
        wanted = _filter(request)
        if wanted is None:
            return problem(_FILTER_RULES, status=400)

        def read(wanted: TaskFilter) -> dict[str, Any]:
            totals = self._process.ledger().task_list.host_totals(wanted.day) if wanted.day else []
            return {"ids": self._process.ledger().task_list.ids(wanted), "totals": totals_view(totals)}

        return json_response(await asyncio.to_thread(read, wanted))

    async def _get_task(self, request: web.Request) -> web.StreamResponse:
        def read() -> dict[str, Any] | None:
            row = self._find_row(request)
            return None if row is None else {**self._view(row), "inputs": inputs_view(row)}

        view = await asyncio.to_thread(read)
        return _no_task() if view is None else json_response(view)

    async def _get_workflow(self, request: web.Request) -> web.StreamResponse:
        if not is_local(request):
            return problem("Kept workflows are only for a browser on the machine that runs ComfyUI.", status=403)

        def read() -> dict[str, Any] | None:
            row = self._find_row(request)
            return None if row is None else self._process.ledger().workflows.find(row.prompt_id)

        workflow = await asyncio.to_thread(read)
        if workflow is None:
            return problem("The workflow of this task was not kept.", status=404)
        return json_response({"workflow": workflow})

    async def _get_thumbnail(self, request: web.Request) -> web.StreamResponse:
        row = await asyncio.to_thread(self._find_row, request)
        folder = self._process.user_dir / THUMBNAIL_FOLDER
        path = None
        try:
            if row is not None:
                path = await self._thumbnails.get(row, output_dir=self._process.output_dir, folder=folder)
        except Exception as error:  # a video that cannot be decoded has no thumbnail, whatever is wrong with it
            log.info("Wan 2.7: no thumbnail: %s", error)
        if path is None:
            return problem("This task has no thumbnail.", status=404)
        return web.FileResponse(path, headers=_THUMBNAIL_HEADERS)

    async def _get_example(self, request: web.Request) -> web.StreamResponse:
        def read() -> Any:
            names = {path.stem: path for path in _EXAMPLES.glob("*.json")}
            path = names.get(request.match_info["name"])
            return None if path is None else json.loads(path.read_text(encoding="utf-8"))

        workflow = await asyncio.to_thread(read)
        if workflow is None:
            return problem("The pack has no example of this name.", status=404)
        return json_response(workflow)

    async def _fetch_task(self, request: web.Request) -> web.StreamResponse:
        row = await asyncio.to_thread(self._find_row, request)
        if row is None or not row.task_id:
            return problem("This task has no id, so the service cannot be asked for it.", status=409)
        found = await self._process.services()
        waiting = asyncio.ensure_future(
            found.runner.wait(
                row.task_id,
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
            return problem(self._message(failure), status=409)
        return json_response({"started": True}, status=202)

    def _fetch_ended(self, waiting: asyncio.Task[Any]) -> None:
        self._fetching.discard(waiting)
        if not waiting.cancelled() and (error := waiting.exception()) is not None:
            log.warning("Wan 2.7: %s", error)

    async def _cancel_task(self, request: web.Request) -> web.StreamResponse:
        row = await asyncio.to_thread(self._find_row, request)
        if row is None or row.state != "submitted":
            return problem("This task does not run at the service, so there is nothing to cancel.", status=409)
        connection = await asyncio.to_thread(self._process.connection_named, row.connection, row.base_url)
        if connection is None:
            return problem(f"The settings have no key for {row.connection}, where this task runs.", status=409)
        found = await self._process.services()
        await found.runner.cancel(row, connection=connection)
        return json_response({"canceled": True}, status=202)

    async def _remove_task(self, request: web.Request) -> web.StreamResponse:
        with_file = (await _body(request)).get("delete_file", False)
        if not isinstance(with_file, bool):
            return problem("delete_file must be true or false.", status=400)
        row = await asyncio.to_thread(self._find_row, request)
        if row is None:
            return _no_task()
        ledger, output_dir = self._process.ledger(), self._process.output_dir
        await asyncio.to_thread(remove_task, ledger, row, output_dir=output_dir, with_file=with_file)
        return await self._get_task(request)

    async def _restore_task(self, request: web.Request) -> web.StreamResponse:
        row = await asyncio.to_thread(self._find_row, request)
        if row is None:
            return _no_task()
        await asyncio.to_thread(self._process.ledger().show, row.id)
        return await self._get_task(request)

    async def _get_settings(self, request: web.Request) -> web.StreamResponse:
        view = await asyncio.to_thread(settings_view, self._process.user_dir, local=is_local(request))
        return json_response(view)

    async def _put_settings(self, request: web.Request) -> web.StreamResponse:
        changes = (await _body(request)).get("set")
        if not isinstance(changes, Mapping):
            return problem("The request has no settings.", status=400)
        async with self._changing:
            await asyncio.to_thread(save_settings, self._process.user_dir, changes)
        self._send(STATUS_EVENT, {})
        self._process.resume_unfinished()  # tasks may have been waiting for a key among them
        return await self._get_settings(request)

    async def _run_check(self, request: web.Request) -> web.StreamResponse:
        finding = await check_part(self._process, str((await _body(request)).get("part")))
        texts = {"text": finding.text, "setting": finding.setting}
        redacted = {name: redact_locations(text, folders=self._folders) for name, text in texts.items()}
        return json_response({"what": finding.what, "ok": finding.ok, **redacted})

    def _host_in_use(self) -> str:
        try:
            return self._process.settings().current.host.name
        except MissingKeyError as error:
            return error.host.name
        except SettingsError:
            return next(iter(HOSTS))

    def _tasks_event(self, ids: frozenset[int]) -> dict[str, Any]:
        """Return the data of the event wan27.tasks for rows that changed."""
        totals = self._totals()
        return {
            "tasks": [self._view(row) for row in self._process.ledger().task_list.records(sorted(ids))],
            "spent_today_usd": totals["spent_today"],
            "totals_today": totals["totals_today"],
            "total": totals["tasks"],
            "all_tasks": totals["all_tasks"],
        }

    def _view(self, row: TaskRecord) -> dict[str, Any]:
        return task_view(
            row,
            self.announcer.latest(row.task_id),
            output_dir=self._process.output_dir,
            folders=self._folders,
            has_workflow=self._process.ledger().workflows.has(row.prompt_id),
        )

    async def _get_media(self, request: web.Request) -> web.StreamResponse:
        found = find_media(self._process.user_dir / MEDIA_FOLDER, request.match_info["name"])
        if found is None:
            return web.Response(status=404, headers=_MEDIA_HEADERS)
        path, mime = found
        return web.FileResponse(path, headers={**_MEDIA_HEADERS, "Content-Type": mime})

    def _with_json_errors(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except (SettingsError, StorageError, Wan27Error) as error:
                return problem(self._message(error), status=500 if isinstance(error, LedgerError) else 409)

        return guarded

    def _totals(self) -> dict[str, Any]:
        ledger = self._process.ledger()
        listed, ever = ledger.task_list.counts()
        today = ledger.task_list.host_totals(day_of(ledger.now()))
        spent = round(sum(each.estimated_usd for each in today), 6)
        return {"spent_today": spent, "tasks": listed, "all_tasks": ever, "totals_today": totals_view(today)}

    def _find_row(self, request: web.Request) -> TaskRecord | None:
        found = self._process.ledger().task_list.records([int(request.match_info["id"])])
        return found[0] if found else None

    def _message(self, error: BaseException) -> str:
        if isinstance(error, MissingPackagesError):
            return error.public
        return redact_locations(str(error) or type(error).__name__, folders=self._folders)

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self._process.user_dir, self._process.output_dir


async def _body(request: web.Request) -> Mapping[str, Any]:
    """Return the JSON object that was posted; an empty one if it is anything else."""
    try:
        body = await request.json()
    except (ValueError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, Mapping) else {}


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
