"""What the nodes share in one ComfyUI process: settings, connection, storage, ledger, runner, sandbox.

Settings are read again whenever config.toml or the environment changes, so that a new key or budget needs no restart.
Ledger, runner and sandbox are made once, when they are first needed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from .api.connection import Connection
from .config.reader import FILE_NAME
from .config.settings import Settings, load_settings

if TYPE_CHECKING:
    from .api.request import VideoRequest
    from .ledger import Ledger, OnChange
    from .runner.models import OnProgress
    from .runner.runner import Runner
    from .sandbox import Sandbox
    from .storage.base import Storage

log = logging.getLogger(__name__)

_FOLDER = "wan27"
_LEDGER = "ledger.sqlite3"

SANDBOX_NOTE = (
    'SANDBOX: nothing is billed and the video is a stand-in. Set a key to get real videos: see "From sandbox to real" '
    "in the README."
)


@dataclass(frozen=True)
class Services:
    """One consistent view: made from the settings as they were at one moment."""

    settings: Settings
    connection: Connection
    ledger: Ledger
    runner: Runner

    @property
    def storage(self) -> Storage:
        """Where uploads go. Made only when asked for: waiting for a paid task must not need it to be set up.

        Raises:
            StorageError: naming the setting to change.
        """
        from .storage.factory import make_storage

        connection, wanted = self.connection, self.settings.storage
        stands_in = connection.is_sandbox or (wanted.kind == "sandbox" and connection.on_loopback)
        sandbox_url = connection.base_url if stands_in else None
        storage = make_storage(
            wanted.kind, wanted.options, sandbox_url=sandbox_url, directory=self.settings.path.parent
        )
        _process.warn_once(storage.privacy_notice)
        return storage

    @property
    def sandbox_note(self) -> str:
        """What the node says when nothing can be billed, else ""."""
        return SANDBOX_NOTE if self.connection.is_sandbox else ""

    def clip_seconds(self, request: VideoRequest) -> float | None:
        """How long the clip of a request is, where Upload Video sent it; None where there is none or it is unknown."""
        if not request.first_clip_url:
            return None
        upload = self.ledger.uploads.by_url(request.first_clip_url)
        return None if upload is None else upload.seconds

    def any_failed(self, task_ids: list[str]) -> bool:
        """Whether one of these tasks is known to have failed: then asking for the same again makes a new one."""
        from .runner.models import service_of

        rows = (self.ledger.find(task_id, service_of(self.connection)) for task_id in task_ids)
        return any(row is not None and row.state == "failed" for row in rows)


class _Process:
    """Everything there is once in a process. Guarded by one lock; making it may take a second."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.sandbox: Sandbox | None = None
        self.sandbox_url = ""
        self.ledger: Ledger | None = None
        self.runner: Runner | None = None
        self.settings: tuple[object, Settings] | None = None
        self.announced = ""
        self.on_change: OnChange | None = None
        self.on_progress: OnProgress | None = None
        self.warned: set[str] = set()

    def warn_once(self, text: str) -> None:
        """Log a warning, unless it is empty or was logged before."""
        with self.lock:
            if text and text not in self.warned:
                self.warned.add(text)
                log.warning("Wan 2.7: %s", text)


_process = _Process()


async def get_services() -> Services:
    """The services as the settings are now. Starts the sandbox where requests go there.

    Raises:
        SettingsError, StorageError, LedgerError: naming what to change.
    """
    return await asyncio.to_thread(_make_services)


def user_dir() -> Path:
    """The pack's own folder, which ComfyUI does not serve over HTTP and an update of the pack does not touch."""
    import folder_paths

    find = getattr(folder_paths, "get_system_user_directory", None)
    folder = find(_FOLDER) if find else Path(folder_paths.get_user_directory()) / f"__{_FOLDER}"
    return Path(folder)


def output_dir() -> Path:
    """ComfyUI's output folder; the videos go below it."""
    import folder_paths

    return Path(folder_paths.get_output_directory())


def current_settings() -> Settings:
    """The settings as they are now; cheap to ask for."""
    folder = user_dir()
    seen = (_stamp(folder / FILE_NAME), tuple(sorted((k, v) for k, v in environ.items() if _is_ours(k))))
    with _process.lock:
        if _process.settings is None or _process.settings[0] != seen:
            settings = load_settings(folder, environ)
            for warning in settings.warnings:
                log.warning("Wan 2.7: %s", warning)
            _process.settings = (seen, settings)
        return _process.settings[1]


def connection_identity() -> str:
    """Tells the connection that is set from others, without starting anything. For `fingerprint_inputs`."""
    settings = current_settings()
    return "sandbox" if settings.in_sandbox else f"novita {settings.novita.base_url}"


def connection_for(settings: Settings) -> Connection:
    """The connection that the settings name; starts the sandbox where it is that."""
    prices = settings.novita.price_per_second
    if settings.in_sandbox:
        return Connection("sandbox", _sandbox_url(), "sandbox", prices)
    return Connection("novita", settings.novita.base_url, settings.novita.api_key, prices)


def connection_is_billed(settings: Settings) -> bool:
    """Whether requests cost money as the settings are. Starts nothing."""
    return not settings.in_sandbox


def open_ledger() -> Ledger:
    """The ledger of this process."""
    from .ledger import Ledger

    with _process.lock:
        if _process.ledger is None:
            _process.ledger = Ledger(user_dir() / _LEDGER, on_change=_process.on_change)
        return _process.ledger


def watch(on_change: OnChange, on_progress: OnProgress) -> None:
    """Subscribe to the tasks of this process. Has to be called before its ledger and runner are made; starts neither.

    Args:
        on_change: receives the ids of records that were added or changed.
        on_progress: receives a task id and the progress of that task.
    """
    with _process.lock:
        _process.on_change, _process.on_progress = on_change, on_progress


def resume_unfinished() -> None:
    """Go on with what was paid for and is not fetched yet. Runs in the background; trouble shows in the log only."""

    def work() -> None:
        try:
            if not (user_dir() / _LEDGER).exists():
                return
            settings = current_settings()
            _runner(settings).resume_unfinished()
        except Exception as error:
            log.warning("Wan 2.7: unfinished tasks could not be picked up: %s", error)

    threading.Thread(target=work, name="wan27-resume", daemon=True).start()


def _make_services() -> Services:
    settings = current_settings()
    connection = connection_for(settings)
    runner = _runner(settings)
    _announce(connection)
    return Services(settings, connection, open_ledger(), runner)


def _runner(settings: Settings) -> Runner:
    from .runner.runner import Runner

    with _process.lock:
        if _process.runner is None:
            _process.runner = Runner(
                ledger=open_ledger(),
                output_dir=output_dir(),
                polling=settings.polling,
                budget=settings.budget,
                connection_for=_connection_named,
                on_progress=_process.on_progress,
            )
        _process.runner.configure(polling=settings.polling, budget=settings.budget)
        return _process.runner


def _connection_named(name: str, base_url: str) -> Connection | None:
    """The connection an unfinished task belongs to, where the settings (still) name it."""
    settings = current_settings()
    if name == "sandbox":
        return connection_for(settings) if settings.in_sandbox else None
    if settings.in_sandbox or settings.novita.base_url.rstrip("/").lower() != base_url.rstrip("/").lower():
        return None
    return connection_for(settings)


def _sandbox_url() -> str:
    from .sandbox import Sandbox

    with _process.lock:
        if _process.sandbox is None:
            sandbox = Sandbox(user_dir() / "sandbox")
            _process.sandbox_url = sandbox.start()
            _process.sandbox = sandbox
        return _process.sandbox_url


def _announce(connection: Connection) -> None:
    """Say once where requests go."""
    if _process.announced == connection.name:
        return
    _process.announced = connection.name
    if connection.is_sandbox:
        log.warning("Wan 2.7 runs in the %s", SANDBOX_NOTE)
    else:
        log.info("Wan 2.7 sends requests to %s; they are billed.", connection.base_url)


def _is_ours(variable: str) -> bool:
    return variable.startswith(("WAN27_", "NOVITA_", "AWS_"))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
