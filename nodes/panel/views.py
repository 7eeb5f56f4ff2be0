"""Tasks and status as the browser gets them: JSON without key, path or signed URL. routes.py documents it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..api.hosts import dialect_of
from ..api.request import MEDIA_FIELDS
from ..core import limits
from ..core.hosts import HOSTS, SANDBOX
from ..core.redaction import redact_locations
from ..ledger import RUNNING_STATES
from ..ledger.budget import day_of
from ..storage import kind_in_use
from .thumbnails import video_file

if TYPE_CHECKING:
    from ..api.connection import Connection
    from ..config import Settings
    from ..ledger import BalanceReading, HostTotal, Ledger, State, TaskRecord
    from ..ledger.balances import Comparison
    from ..runner.models import Progress

GROUPS: Mapping[str, tuple[State, ...]] = {
    "all": (),
    "running": RUNNING_STATES,
    "saved": ("saved",),
    "failed": ("failed", "unknown"),
    "removed": (),
}
"""The choices of the panel's filter, and the states in the ledger that each of them shows; empty for all. "removed" are
the tasks that the user took off the list, which no other choice shows."""

_GROUP_OF = {state: group for group, states in GROUPS.items() for state in states}

PROMPT_CHARS = 400
"""Characters of a prompt that the panel gets; it shows two lines."""


def task_view(
    record: TaskRecord,
    progress: Progress | None,
    *,
    output_dir: Path,
    folders: Iterable[Path] = (),
    has_workflow: bool = False,
) -> dict[str, Any]:
    """Return one task."""
    video = video_file(record, output_dir)
    state = "missing" if record.state == "saved" and video is None else record.state
    prompt = str(record.request.get("prompt") or "")
    group = _GROUP_OF[record.state]
    return {
        "id": record.id,
        "task_id": record.task_id,
        "state": state,
        "group": group,
        "progress": progress_view(progress) if progress is not None and group == "running" else None,
        "reason": redact_locations(record.reason, folders=folders),
        "removed": record.hidden,
        "prompt": prompt if len(prompt) <= PROMPT_CHARS else prompt[: PROMPT_CHARS - 1] + "…",
        "resolution": record.request.get("resolution"),
        "duration": record.request.get("duration"),
        "seed": record.seed if record.seed is not None else record.request.get("seed"),
        "sandbox": record.connection == SANDBOX,
        "connection": record.connection,
        "host": host_title(record.connection),
        "day": day_of(record.created_at),
        "estimated_cost": record.estimate,
        "continues_clip": "first_clip_url" in record.request,
        "counted": record.counted,
        "cancels": _cancels(record.connection) if record.state == "submitted" else "",
        "began_at": record.began_at,
        "ended_at": record.saved_at,
        "prompt_id": record.prompt_id,
        "has_workflow": has_workflow,
        "node_id": record.node_id,
        "seconds": record.video.get("seconds"),
        "size": record.video.get("size"),
        "file": None if video is None or record.file is None else _file_view(record.file),
        "poster": record.file_sha256[:16] if video is not None and record.file_sha256 else None,
    }


def inputs_view(record: TaskRecord) -> dict[str, Any]:
    """Return all that was requested, for a comparison. A media file is a short hash: its URL stays here."""
    shown = {name: value for name, value in record.request.items() if name not in MEDIA_FIELDS}
    media = {name: str(record.request[name]) for name in MEDIA_FIELDS if name in record.request}
    return {**shown, **{name: hashlib.sha256(value.encode()).hexdigest()[:12] for name, value in media.items()}}


def _cancels(connection: str) -> str:
    is_known = connection == SANDBOX or connection in HOSTS  # a later version of the pack may have had other hosts
    return dialect_of(connection).capabilities.cancels if is_known else ""


def host_title(connection: str) -> str:
    """Return the name that users know a host by."""
    host = HOSTS.get(connection)
    return connection if host is None else host.title


def totals_view(totals: Iterable[HostTotal]) -> list[dict[str, Any]]:
    """Return the totals of a day by host."""
    return [
        {
            "connection": each.connection,
            "host": host_title(each.connection),
            "tasks": each.tasks,
            "estimated_usd": round(each.estimated_usd, 6),
        }
        for each in totals
    ]


def counts_view(ledger: Ledger) -> dict[str, Any]:
    """Return what was spent today, and how many tasks there are."""
    today = ledger.task_list.host_totals(day_of(ledger.now()))
    listed, ever = ledger.task_list.counts()
    return {
        "spent_today_usd": round(sum(each.estimated_usd for each in today), 6),
        "totals_today": totals_view(today),
        "tasks": listed,
        "all_tasks": ever,
    }


def progress_view(progress: Progress) -> dict[str, Any]:
    """Return how far a task is."""
    left = progress.left_seconds()
    return {
        "state": progress.state,
        "seconds": round(progress.seconds, 1),
        "percent": progress.progress_percent or None,
        "eta_seconds": progress.eta_seconds or None,
        "usual_seconds": None if progress.usual_seconds is None else [round(s, 1) for s in progress.usual_seconds],
        "left_seconds": None if left is None else round(left, 1),
        "downloaded_bytes": progress.downloaded_bytes,
        "total_bytes": progress.total_bytes,
        "note": redact_locations(progress.note),
        "can_cancel": progress.can_cancel,
    }


def _file_view(file: str) -> dict[str, str]:
    """Return the query of ComfyUI's own route /view for a file in the output folder."""
    subfolder, _, name = file.rpartition("/")
    return {"filename": name, "subfolder": subfolder, "type": "output"}


def status_view(
    settings: Settings,
    connection: Connection | None,
    counts: Mapping[str, Any],
    *,
    local: bool,
) -> dict[str, Any]:
    """Return connection, prices, budget and limits.

    Args:
        connection: None in the sandbox.
        counts: from `counts_view`.
        local: the browser runs on this machine and may enter a key.
    """
    host, name = urlsplit(settings.current.base_url).hostname, settings.current.host.name
    return {
        "problem": None,
        "may_write": local,
        "connection": {
            "sandbox": settings.in_sandbox,
            "setting": settings.connection,
            "host": None if settings.in_sandbox else host,
            "name": SANDBOX if settings.in_sandbox else name,
            "note": settings.choice_note or None,
        },
        "key": key_view(settings, name, local=local),
        "hosts": [
            {
                "name": each.name,
                "title": each.title,
                "key_page": each.key_page,
                "key": key_view(settings, each.name, local=local),
            }
            for each in HOSTS.values()
        ],
        "storage": SANDBOX if connection is None else kind_in_use(settings.storage.kind, connection),
        "prices": dict(settings.current.price_per_second),
        "budget": {"per_run_usd": settings.budget.per_run_usd, "per_day_usd": settings.budget.per_day_usd},
        **counts,
        "reports_balance": connection is not None and connection.reports_balance,
        "limits": limits_view(),
    }


def balance_view(reading: BalanceReading, compared: Comparison | None) -> dict[str, Any]:
    """Return the balance, and its change beside the estimates."""
    change = None if compared is None else {name: round(value, 6) for name, value in vars(compared).items()}
    return {
        "problem": None,
        "available_usd": reading.available_usd,
        "outstanding_usd": reading.outstanding_usd,
        "compared": change,
    }


def key_view(settings: Settings | None, host: str, *, local: bool) -> dict[str, Any]:
    """Return whether a host's key is set and its source; its last four characters only for a browser on this machine.

    `settings` is None if they cannot be read.
    """
    key, variable = "" if settings is None else settings.hosts[host].api_key, HOSTS[host].key_variable
    from_environment = bool(environ.get(variable, "").strip())
    return {
        "name": host,
        "host": HOSTS[host].title,
        "present": bool(key),
        "source": ("environment" if from_environment else "file") if key else None,
        "variable": variable,
        "last4": key[-4:] if local and len(key) >= 12 else None,
        "can_change": local and not from_environment,
    }


def limits_view() -> dict[str, Any]:
    """Return the limits that the node's counters and its cost need."""
    return {
        "prompt_chars": limits.PROMPT_CHARS,
        "negative_prompt_chars": limits.NEGATIVE_PROMPT_CHARS,
        "duration_seconds": list(limits.DURATION_SECONDS),
        "clip_billed_seconds": list(limits.CLIP_BILLED_SECONDS),
    }
