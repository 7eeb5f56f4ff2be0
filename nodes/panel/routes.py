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
     "key": {"name": of its host, "host": its title, "present": bool, "source": "environment|file" or null,
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
    {"ids": [id, …] of all matches, newest first, "totals": totals of that day, [] without one}
    host: the name of a connection; day: of the server's clock, as in the budget
    totals: [{"connection", "host": title, "tasks", "estimated_usd"}, …] of one day, the highest first
GET /wan27/tasks?ids=3,2,1
    {"tasks": [task, …] of those that exist}, at most 200
GET /wan27/tasks?group=…&text=…&host=…&day=…&limit=1-200&before=…
    {"tasks": [task, …] newest first, "total": number of matches, "before": for the next page, null at the end}
    task: {"id": number, "task_id": text or null, "state": "intent|submitted|succeeded|saved|failed|unknown|missing"
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
wan27.status     {}: the settings changed; request the status again
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from ..services import Process
from ..storage.comfyui import FOLDER as MEDIA_FOLDER
from ..storage.comfyui import ROUTE as MEDIA_ROUTE
from ..storage.comfyui import remove_expired
from .access import read_route, write_route
from .events import Announcer, SendEvent
from .file_handlers import get_example, media_handler
from .responses import with_json_errors
from .settings_handlers import SettingsHandlers
from .task_handlers import TaskHandlers


def register_routes(process: Process, server: Any) -> None:
    """Add the routes to ComfyUI's server and start sending events. Called while ComfyUI loads its packs."""
    with contextlib.suppress(OSError):
        remove_expired(process.user_dir / MEDIA_FOLDER)
    announcer = add_routes(server.routes, process, server.send_sync, server.loop)
    process.subscribe(announcer.records_changed, announcer.progressed)


def add_routes(
    routes: web.RouteTableDef, process: Process, send: SendEvent, loop: asyncio.AbstractEventLoop
) -> Announcer:
    """Add the routes to a table. aiohttp answers HEAD with the handler of GET.

    Args:
        send: sends an event and its data to all browsers; called on `loop`.
        loop: ComfyUI's event loop, which runs the handlers.

    Returns: the announcer, which the caller subscribes to the changes of tasks.
    """
    tasks, settings = TaskHandlers(process, send, loop), SettingsHandlers(process, send)
    by_id = "{id:[0-9]{1,15}}"
    reading = {
        "/wan27/status": settings.get_status,
        "/wan27/balance": settings.get_balance,
        "/wan27/task_ids": tasks.get_ids,
        "/wan27/tasks": tasks.get_page,
        f"/wan27/tasks/{by_id}": tasks.get_task,
        f"/wan27/tasks/{by_id}/workflow": tasks.get_workflow,
        f"/wan27/posters/{by_id}": tasks.get_thumbnail,
        "/wan27/examples/{name}": get_example,
        "/wan27/settings": settings.get_settings,
    }
    writing = {
        f"/wan27/tasks/{by_id}/fetch": (routes.post, tasks.fetch),
        f"/wan27/tasks/{by_id}/cancel": (routes.post, tasks.cancel),
        f"/wan27/tasks/{by_id}/remove": (routes.post, tasks.remove),
        f"/wan27/tasks/{by_id}/restore": (routes.post, tasks.restore),
        "/wan27/settings": (routes.put, settings.put_settings),
        "/wan27/check": (routes.post, settings.run_check),
    }
    for path, handler in reading.items():
        routes.get(path)(read_route(with_json_errors(handler, process)))
    for path, (add, handler) in writing.items():
        add(path)(write_route(with_json_errors(handler, process)))
    routes.get(f"{MEDIA_ROUTE}{{name}}")(media_handler(process.user_dir / MEDIA_FOLDER))
    return tasks.announcer
