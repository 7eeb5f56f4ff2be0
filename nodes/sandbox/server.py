"""A sandbox that runs beside the rest of the process, on a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import threading
from concurrent.futures import wait
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.addresses import is_loopback
from ..core.event_loop import BackgroundLoop
from .options import SandboxOptions

if TYPE_CHECKING:
    from aiohttp import web

    from .store import Store
    from .tasks import Tasks

log = logging.getLogger(__name__)
_PRUNE_SECONDS = 1800.0


class Sandbox:
    """The stand-in for the remote service, on loopback.

    Args:
        state_dir: tasks and files are kept there. Several sandboxes may share it.
        host: a loopback address. The sandbox asks for no password, so no other address is allowed.
        port: 0 takes a free one.
    """

    def __init__(
        self, state_dir: Path | str, *, host: str = "127.0.0.1", port: int = 0, options: SandboxOptions | None = None
    ) -> None:
        if not is_loopback(host):
            raise ValueError(f"the sandbox listens on loopback only, not on {host}")
        self.base_url = ""
        """The address it listens on, "" before the first start."""
        self.options = options or SandboxOptions()
        self._state_dir, self._host, self._port = Path(state_dir), host, port
        self._starting = threading.Lock()
        self._loop: BackgroundLoop | None = None
        self._resources = contextlib.AsyncExitStack()

    def start(self) -> str:
        """Start listening, unless the sandbox already does; return the base URL.

        Raises:
            OSError: the port is taken, or the state directory cannot be written.
        """
        with self._starting:
            if self._loop is None:
                loop = BackgroundLoop("wan27-sandbox")
                try:
                    self.base_url = loop.call(self._open()).result()
                except BaseException:
                    loop.stop(1.0)
                    raise
                self._loop = loop
                atexit.register(self.stop, timeout=1.0)
            return self.base_url

    def stop(self, timeout: float = 10.0) -> None:
        """Stop listening and working. Unfinished tasks continue when a sandbox starts on the same directory."""
        atexit.unregister(self.stop)
        with self._starting:
            loop, self._loop = self._loop, None
        if loop is not None:
            wait([loop.call(self._resources.aclose())], timeout)
            loop.stop(1.0)

    def create_tasks(self, store: Store) -> Tasks:
        """Create what works on the tasks. Tests override this."""
        from .tasks import Tasks

        return Tasks(store, self.options)

    def create_app(self, store: Store, tasks: Tasks) -> web.Application:
        """Create the web application. Tests override this."""
        from .routes.app import build_app

        return build_app(store, tasks, self.options)

    async def _open(self) -> str:
        from aiohttp import web

        from .store import Store

        async with contextlib.AsyncExitStack() as stack:
            store = Store(self._state_dir)
            store.process_lock.acquire()
            stack.callback(store.process_lock.release)
            tasks = self.create_tasks(store)
            stack.push_async_callback(tasks.close)
            app = self.create_app(store, tasks)
            runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.5)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port).start()
            for task in store.tasks():
                tasks.take_over(task)
            stack.callback(asyncio.create_task(self._prune(store)).cancel)
            self._resources = stack.pop_all()
        shown = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{shown}:{runner.addresses[0][1]}"

    async def _prune(self, store: Store) -> None:
        while True:
            try:
                await asyncio.to_thread(store.prune)
            except Exception:
                log.exception("the sandbox could not clean up %s", self._state_dir)
            await asyncio.sleep(_PRUNE_SECONDS)
