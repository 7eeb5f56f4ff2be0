"""HTTP routes that this pack adds to ComfyUI's server, and the events it puts on ComfyUI's websocket.

ComfyUI adds each route a second time below /api. An error is {"error": "a sentence for the person"} with a status of
400 or more. No answer holds the key, a path of this machine, or the URL of a medium or a result.

Reading (for everybody who reaches ComfyUI; other sites' pages get 403):

GET /wan27/status
    {"problem": null, or a sentence: the settings cannot be used; then nothing else is there but "may_write",
     "key" and "limits",
     "may_write": whether the writing routes are open to this browser,
     "connection": {"sandbox": bool, "setting": "auto|novita|sandbox", "host": text or null in the sandbox,
                    "service_host": text},
     "key": {"present": bool, "source": "environment|file" or null, "variable": "NOVITA_API_KEY",
             "last4": text or null, "can_change": bool: whether PUT and DELETE /wan27/key are open to this browser},
     "storage": text, "prices": {"720P": USD per second, "1080P": …},
     "budget": {"per_run_usd": …, "per_day_usd": …}, "spent_today_usd": …, "tasks": how many the ledger has,
     "limits": {"prompt_chars": …, "negative_prompt_chars": …, "duration_seconds": [low, high]}}
GET /wan27/balance
    {"available_usd": …, "outstanding_usd": …}. Asks the service, at most every 10 seconds. 409 in the sandbox.
GET /wan27/tasks?group=all|running|saved|failed&text=…&limit=1-200&before=…
    {"tasks": [task, …] newest first, "total": all that match, "before": for the next page, null at the end}
    task: {"id": row number, "task_id": text or null, "state": "intent|submitted|succeeded|saved|failed|unknown|missing"
           (missing: saved, and the file is gone), "progress": progress or null, "reason": text, "prompt": at most 400
           characters, "resolution", "duration": seconds asked for, "seed", "sandbox": bool, "estimated_cost": USD or
           null, "counted": whether it uses up the budget, "began_at", "ended_at": seconds since 1970 or null,
           "prompt_id", "node_id", "seconds", "size": [width, height] as the file says,
           "file": {"filename", "subfolder", "type"} for ComfyUI's /view or null, "poster": text or null}
    progress: {"state": "queued|processing|downloading|waiting", "seconds": since it began, "percent", "eta_seconds":
           number or null, "downloaded_bytes", "total_bytes": or null, "note": text}
GET /wan27/tasks/{id}
    task
GET /wan27/posters/{id}
    image/jpeg, at most 320 pixels a side; 404 where there is none. Add ?v=<poster of the task>: it may be cached.
GET /wan27/media/{name}
    what the service fetches where storage.kind is "comfyui"; see nodes/panel/public_media.py

Writing (from a browser on this machine, on ComfyUI's own page, as application/json; anything else gets 403):

POST /wan27/tasks/{id}/fetch   body {}
    202 {"started": true}: the task is asked for and its video fetched. 409: why that cannot be.
PUT /wan27/key                 body {"key": text}
    200, the object "key" of the status. Stored in config.toml, mode 0600. 409: the environment has a key, which wins.
DELETE /wan27/key              body {}
    200, the object "key" of the status.

Events on the websocket:

wan27.tasks      {"tasks": [task, …] that were added or changed, "spent_today_usd": …, "total": tasks of the ledger}
wan27.progress   {"progress": {task_id: progress, …}}
wan27.status     {}: key or connection changed; ask for the status again
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from .. import services
from ..config.api_key import check_key, remove_key, store_key
from ..core.errors import SettingsError, Wan27Error
from ..core.redaction import redact_locations
from ..storage.comfyui import FOLDER as MEDIA
from ..storage.comfyui import ROUTE as MEDIA_ROUTE
from ..storage.comfyui import remove_ended
from .access import answer, at_this_machine, problem, reading, writing
from .events import Announcer
from .public_media import give_media
from .thumbnails import FOLDER as POSTERS
from .thumbnails import poster
from .views import GROUPS, KEY_VARIABLE, key_view, limits_view, progress_view, status_view, task_view

log = logging.getLogger(__name__)

STATUS_EVENT = "wan27.status"
BALANCE_SECONDS = 10.0
FETCH_SECONDS = 2.0
"""How long a fetch is given to fail at once, so that the person hears why."""
FETCH_TIMEOUT_SECONDS = 3600.0

_announcer: Announcer | None = None
_announce: Any = None
_balance: tuple[float, str, dict[str, Any]] | None = None
_fetching: set[asyncio.Task[Any]] = set()


def register_routes() -> None:
    """Add the routes, and have the browsers told of tasks. Called while ComfyUI loads its packs."""
    global _announcer, _announce  # noqa: PLW0603 - a process has one server
    try:
        from server import PromptServer
    except ImportError:
        return
    server = PromptServer.instance
    with contextlib.suppress(OSError):
        remove_ended(services.user_dir() / MEDIA)
    add_routes(server.routes)
    _announce = server.send_sync
    _announcer = Announcer(_announce, _changed, progress_view, server.loop)
    services.watch(_announcer.rows_changed, _announcer.progressed)


def add_routes(routes: web.RouteTableDef) -> None:
    """Add the routes to a table. aiohttp answers HEAD with the handler of GET."""
    routes.get("/wan27/status")(give_status)
    routes.get("/wan27/balance")(give_balance)
    routes.get("/wan27/tasks")(give_tasks)
    routes.get("/wan27/tasks/{id:[0-9]{1,15}}")(give_task)
    routes.get("/wan27/posters/{id:[0-9]{1,15}}")(give_poster)
    routes.get(f"{MEDIA_ROUTE}{{name}}")(give_media)
    routes.post("/wan27/tasks/{id:[0-9]{1,15}}/fetch")(fetch_again)
    routes.put("/wan27/key")(put_key)
    routes.delete("/wan27/key")(delete_key)


# Reading --------------------------------------------------------------------------------------------------------


@reading
async def give_status(request: web.Request) -> web.StreamResponse:
    local = at_this_machine(request)
    try:
        view = await asyncio.to_thread(_status, local)
    except (SettingsError, Wan27Error) as error:
        view = {"problem": _said(error), "may_write": local, "key": key_view("", local=local), "limits": limits_view()}
    return answer(view)


def _status(local: bool) -> dict[str, Any]:
    settings = services.current_settings()
    ledger = services.open_ledger()
    return status_view(settings, spent_today=ledger.spent("")[1], tasks=ledger.browse.page(limit=1).total, local=local)


@reading
async def give_balance(request: web.Request) -> web.StreamResponse:
    global _balance  # noqa: PLW0603 - for all who ask at about the same time
    import httpx

    from ..api.client import ServiceClient

    try:
        settings = services.current_settings()
        if settings.in_sandbox:
            return problem("The sandbox has no account: nothing is billed there.", status=409)
        asked = f"{settings.novita.base_url} {hash(settings.novita.api_key)}"
        if _balance is None or _balance[1] != asked or time.monotonic() - _balance[0] > BALANCE_SECONDS:
            async with httpx.AsyncClient() as http:
                found = await ServiceClient(services.connection_for(settings), http).balance()
            view = {"available_usd": found.available_usd, "outstanding_usd": found.outstanding_usd}
            _balance = (time.monotonic(), asked, view)
    except (SettingsError, Wan27Error) as error:
        return problem(_said(error), status=409)
    return answer(_balance[2])


@reading
async def give_tasks(request: web.Request) -> web.StreamResponse:
    group, before = request.query.get("group", "all"), request.query.get("before")
    limit = request.query.get("limit", "50")
    if group not in GROUPS or not _is_number(limit) or not (before is None or _is_number(before)):
        return problem("group, limit or before is not one that there is.", status=400)
    text = request.query.get("text", "").strip()[:200]

    def read() -> dict[str, Any]:
        browse = services.open_ledger().browse
        below = None if before is None else int(before)
        page = browse.page(before=below, limit=int(limit), states=GROUPS[group], text=text)
        return {"tasks": [_view(row) for row in page.rows], "total": page.total, "before": page.before}

    try:
        return answer(await asyncio.to_thread(read))
    except Wan27Error as error:
        return problem(_said(error), status=500)


@reading
async def give_task(request: web.Request) -> web.StreamResponse:
    row = await asyncio.to_thread(_row, request)
    return problem("There is no such task.", status=404) if row is None else answer(await asyncio.to_thread(_view, row))


@reading
async def give_poster(request: web.Request) -> web.StreamResponse:
    def make() -> Any:
        row = _row(request)
        folder = services.user_dir() / POSTERS
        return None if row is None else poster(row, output_dir=services.output_dir(), folder=folder)

    try:
        path = await asyncio.to_thread(make)
    except Exception as error:  # a video that cannot be decoded has no poster, whatever is wrong with it
        log.info("Wan 2.7: no poster frame: %s", error)
        path = None
    if path is None:
        return problem("There is no picture of this task.", status=404)
    headers = {"Content-Type": "image/jpeg", "Cache-Control": "private, max-age=604800, immutable"}
    return web.FileResponse(path, headers={**headers, "X-Content-Type-Options": "nosniff"})


# Writing --------------------------------------------------------------------------------------------------------


@writing
async def fetch_again(request: web.Request) -> web.StreamResponse:
    row = await asyncio.to_thread(_row, request)
    if row is None or not row.task_id:
        return problem("This task has no id, so there is nothing to ask the service for.", status=409)
    try:
        found = await services.get_services()
    except (SettingsError, Wan27Error) as error:
        return problem(_said(error), status=409)
    waiting = asyncio.ensure_future(
        found.runner.wait(
            row.task_id,
            connection=found.connection,
            on_update=lambda progress: None,
            timeout_seconds=FETCH_TIMEOUT_SECONDS,
        )
    )
    _fetching.add(waiting)
    waiting.add_done_callback(_fetched)
    await asyncio.wait({waiting}, timeout=FETCH_SECONDS)
    failure = waiting.exception() if waiting.done() else None
    if failure is not None:
        return problem(_said(failure), status=409)
    return answer({"started": True}, status=202)


def _fetched(waiting: asyncio.Task[Any]) -> None:
    _fetching.discard(waiting)
    if not waiting.cancelled() and (error := waiting.exception()) is not None:
        log.warning("Wan 2.7: %s", error)


@writing
async def put_key(request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    try:
        key = check_key(body.get("key"))
        await _change_key(lambda: store_key(services.user_dir(), key))
    except SettingsError as error:
        return problem(_said(error), status=409)
    services.resume_unfinished()  # tasks may have waited for just this key
    return answer(await asyncio.to_thread(_key))


@writing
async def delete_key(request: web.Request) -> web.StreamResponse:
    try:
        await _change_key(lambda: remove_key(services.user_dir()))
    except SettingsError as error:
        return problem(_said(error), status=409)
    return answer(await asyncio.to_thread(_key))


async def _change_key(change: Any) -> None:
    if not key_view("", local=True)["can_change"]:
        raise SettingsError(f"{KEY_VARIABLE} is set in the environment and wins over config.toml: change it there.")
    await asyncio.to_thread(change)
    if _announce is not None:
        _announce(STATUS_EVENT, {})


def _key() -> dict[str, Any]:
    try:
        return key_view(services.current_settings().novita.api_key, local=True)
    except SettingsError:  # such as connection = "novita", which needs a key; the status tells
        return key_view("", local=True)


# ------------------------------------------------------------------------------------------------------------------


def _changed(ids: frozenset[int]) -> dict[str, Any]:
    """The data of the event for rows that changed."""
    ledger = services.open_ledger()
    return {
        "tasks": [_view(row) for row in ledger.browse.rows(sorted(ids))],
        "spent_today_usd": round(ledger.spent("")[1], 6),
        "total": ledger.browse.page(limit=1).total,
    }


def _view(row: Any) -> dict[str, Any]:
    latest = _announcer.latest(row.task_id) if _announcer is not None else None
    return task_view(row, latest, output_dir=services.output_dir(), folders=_folders())


def _row(request: web.Request) -> Any:
    found = services.open_ledger().browse.rows([int(request.match_info["id"])])
    return found[0] if found else None


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except (ValueError, UnicodeDecodeError):
        body = None
    return body if isinstance(body, Mapping) else {}


def _said(error: BaseException) -> str:
    return redact_locations(str(error) or type(error).__name__, folders=_folders())


def _folders() -> tuple[Any, ...]:
    return services.user_dir(), services.output_dir()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
