"""What the nodes and the panel share in one ComfyUI process: settings, connection, storage, ledger, runner, sandbox.

Settings are read again whenever config.toml or the environment changes, so that a new key or budget needs no restart.
Ledger, runner and sandbox are created once, when they are first needed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING

from .api.connection import Connection
from .comfy import runtime
from .comfy.node_cache import NodeCache
from .comfy.queue_budget import QueuedPrompt
from .comfy.upload_pipeline import UploadPipeline
from .config import FILE_NAME, HostSettings, Settings, load_settings
from .core.hosts import HOSTS, SANDBOX
from .core.packages import MissingPackagesError, require_packages
from .core.temporary import remove_leftovers

if TYPE_CHECKING:
    from .ledger import Ledger, OnChange
    from .runner.models import OnProgress, Submitted
    from .runner.runner import Runner
    from .sandbox import Sandbox
    from .storage import Storage

log = logging.getLogger(__name__)

_LEDGER = "ledger.sqlite3"

SANDBOX_NOTE = (
    'SANDBOX: nothing is billed and the video is a stand-in. For real videos see "From sandbox to real" in the README.'
)


SANDBOX_LABEL = "SANDBOX · free"
"""What nodes show. The tab explains it."""


@dataclass(frozen=True)
class Services:
    """A consistent view of the services, created from the settings as they were at one moment."""

    settings: Settings
    connection: Connection
    ledger: Ledger
    runner: Runner

    def make_storage(self) -> Storage:
        """Create the storage, which only uploads need. May block. Raises StorageError, naming the setting to change."""
        from .storage import make_storage

        wanted, folder = self.settings.storage, self.settings.path.parent
        return make_storage(wanted.kind, wanted.options, connection=self.connection, directory=folder)

    @property
    def sends_inline(self) -> bool:
        """Whether images of the upload nodes go inside the request."""
        from .storage import kind_in_use

        return kind_in_use(self.settings.storage.kind, self.connection) == "inline"

    async def check_balance(self, cost: float = 0.0) -> None:
        """Raise BudgetError if less than [budget] min_balance_usd would be left after this cost, an estimate in USD.

        Asks the service only if that is set, and at most every BALANCE_SECONDS.
        """
        if self.settings.budget.min_balance_usd and not self.connection.is_sandbox:
            await self.runner.check_balance(self.connection, cost)

    @property
    def note(self) -> str:
        """Return what nodes show: that nothing is billed, or which of several hosts was chosen; "" if neither."""
        if self.connection.is_sandbox:
            return SANDBOX_LABEL
        return self.connection.name if self.settings.choice_note else ""

    def paid_note(self, submitted: Sequence[Submitted]) -> str:
        """Return what the node that pays shows: few words, as it is small. The tab and the log have the tasks."""
        cost, reused = sum(item.estimated_cost for item in submitted), sum(item.reused for item in submitted)
        first = [SANDBOX_LABEL if self.connection.is_sandbox else f"≈ ${cost:.2f} · {self.connection.name}"]
        if reused:
            first.append("reused" if reused == len(submitted) else f"{reused} of {len(submitted)} reused")
        notes = dict.fromkeys(item.note for item in submitted if item.note and not item.reused)
        return "\n".join([" · ".join(first), *notes])


class Process:
    """Everything that exists once in a ComfyUI process. Usable from any thread; creating a service may take a second.

    `user_dir` is the pack's own folder: config.toml, the ledger and the files of the sandbox.
    """

    def __init__(self, user_dir: Path, output_dir: Path) -> None:
        self.user_dir, self.output_dir = user_dir, output_dir
        self.node_cache = NodeCache()
        self.uploads = UploadPipeline(self.node_cache)
        self.queued_prompt = QueuedPrompt()
        self.started = False
        self._lock = threading.RLock()
        self._settings: tuple[object, Settings] | None = None
        self._ledger: Ledger | None = None
        self._runner: Runner | None = None
        self._sandbox: Sandbox | None = None
        self._announced = ""
        self._on_change: OnChange | None = None
        self._on_progress: OnProgress | None = None

    def subscribe(self, on_change: OnChange, on_progress: OnProgress) -> None:
        """Subscribe to this process's tasks. Must be called before ledger and runner are created; creates neither."""
        self._on_change, self._on_progress = on_change, on_progress

    def settings(self) -> Settings:
        """Return the current settings; quick unless they changed.

        Everything that uses the service begins here, so this is where missing packages are noticed.

        Raises SettingsError, naming what to change or to install.
        """
        seen = (_stamp(self.user_dir / FILE_NAME), tuple(sorted((k, v) for k, v in environ.items() if _is_ours(k))))
        with self._lock:
            if self._settings is None or self._settings[0] != seen:
                require_packages()
                settings = load_settings(self.user_dir, environ)
                for warning in settings.warnings:
                    log.warning("Wan 2.7: %s", warning)
                self._settings = (seen, settings)
            return self._settings[1]

    def connection_identity(self) -> str:
        """Return a text that tells the current connection from others. Starts nothing. For `fingerprint_inputs`."""
        settings = self.settings()
        if settings.in_sandbox:
            return SANDBOX
        connection = connection_to(settings.current)
        return f"{connection.name} {connection.base_url} {connection.account}"

    async def services(self) -> Services:
        """Return the services for the current settings. Starts the sandbox if requests go there.

        Raises SettingsError or LedgerError, naming what to change.
        """
        return await asyncio.to_thread(self._make_services)

    def connection_for(self, settings: Settings) -> Connection:
        """Return the connection that the settings name. Starts the sandbox if it is that one."""
        if settings.in_sandbox:
            return Connection(SANDBOX, self._running_sandbox(), SANDBOX, settings.current.price_per_second)
        return connection_to(settings.current)

    def connection_named(self, name: str, base_url: str) -> Connection | None:
        """Return the connection that a task belongs to, by the name and base URL in its record. May start the sandbox.

        It need not be the current one: a task is polled at its own host, with the key of that host.

        Returns: None if the settings have no key for that host or name another base URL of it, or if it is the sandbox
        and requests do not go there now.
        """
        settings = self.settings()
        if name == SANDBOX:
            return self.connection_for(settings) if settings.in_sandbox else None
        host = settings.hosts.get(name)
        if host is None or not host.api_key:
            return None
        return connection_to(host) if host.base_url.lower() == base_url.rstrip("/").lower() else None

    def ledger(self) -> Ledger:
        """Return the ledger of this process."""
        from .ledger import Ledger

        with self._lock:
            if self._ledger is None:
                self._ledger = Ledger(self.user_dir / _LEDGER, on_change=self._on_change)
            return self._ledger

    def resume_unfinished(self) -> None:
        """Resume tasks whose videos were not fetched yet, and delete the temporary files that a crash left.

        Runs in the background; failures only show in the log.
        """

        def resume() -> None:
            remove_leftovers()
            try:
                require_packages()
                if (self.user_dir / _LEDGER).exists():
                    self._configured_runner(self.settings()).resume_unfinished()
            except MissingPackagesError as error:
                log.error("Wan 2.7: %s", error)
            except Exception as error:
                log.warning("Wan 2.7: unfinished tasks could not be resumed: %s", error)

        threading.Thread(target=resume, name="wan27-resume", daemon=True).start()

    def _make_services(self) -> Services:
        settings = self.settings()
        connection = self.connection_for(settings)
        if self._announced != connection.name:
            self._announced = connection.name
            if connection.is_sandbox:
                log.warning("Wan 2.7 runs in the %s", SANDBOX_NOTE)
            else:
                log.info("Wan 2.7 sends requests to %s; they are billed.", connection.base_url)
                if settings.choice_note:
                    log.warning("Wan 2.7: %s", settings.choice_note)
        return Services(settings, connection, self.ledger(), self._configured_runner(settings))

    def _configured_runner(self, settings: Settings) -> Runner:
        from .runner.runner import Runner

        with self._lock:
            if self._runner is None:
                self._runner = Runner(
                    ledger=self.ledger(),
                    output_dir=self.output_dir,
                    polling=settings.polling,
                    budget=settings.budget,
                    connection_for=self.connection_named,
                    on_progress=self._on_progress,
                )
            self._runner.configure(polling=settings.polling, budget=settings.budget)
            return self._runner

    def _running_sandbox(self) -> str:
        from .sandbox import Sandbox

        with self._lock:
            if self._sandbox is None:
                self._sandbox = Sandbox(self.user_dir / "sandbox")
            return self._sandbox.start()


def connection_to(host: HostSettings) -> Connection:
    """Return the connection to a host with its settings."""
    return Connection(
        host.host.name, host.base_url, host.api_key, host.price_per_second, host.upload_url, host.list_url
    )


@cache
def get_process() -> Process:
    """Return the state of this ComfyUI process, for nodes: ComfyUI calls their methods without an instance."""
    return Process(runtime.user_dir(), runtime.output_dir())


def _is_ours(variable: str) -> bool:
    return variable.startswith(("WAN27_", "AWS_")) or variable in {host.key_variable for host in HOSTS.values()}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
