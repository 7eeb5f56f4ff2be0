"""A sandbox that runs beside the rest of the process: its own thread, its own event loop."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.addresses import is_loopback
from .options import SandboxOptions

if TYPE_CHECKING:
    from aiohttp import web

    from .store import Store
    from .thread_pool import Pool

log = logging.getLogger(__name__)
_PRUNE_SECONDS = 1800.0


class Sandbox:
    """The stand-in for the remote service, on loopback.

    Args:
        state_dir: tasks and files survive there; several sandboxes may share it.
        host: a loopback address; nothing else is possible, since there is no password.
        port: 0 takes a free one.
        options: see SandboxOptions.
    """

    def __init__(
        self,
        state_dir: Path | str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        options: SandboxOptions | None = None,
    ) -> None:

        if not is_loopback(host):
            raise ValueError(f"the sandbox listens on loopback only, not on {host}")
        self._state_dir, self._host, self._port = Path(state_dir), host, port
        self._options = options or SandboxOptions()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready, self._starting = threading.Event(), threading.Lock()
        self._failure: BaseException | None = None
        # a list, because the routes are made before the port is known
        self._base_url = [""]

    @property
    def base_url(self) -> str:
        """Where it listens, "" before it does."""
        return self._base_url[0]

    def start(self) -> str:
        """Listen; returns the base URL. Nothing happens where it runs already.

        Raises:
            OSError: the port is taken, or the state directory cannot be written.
        """
        with self._starting:
            if self._thread is not None and self._thread.is_alive():
                return self.base_url
            self._ready.clear()
            self._failure = None
            self._thread = threading.Thread(target=self._run, name="wan27-sandbox", daemon=True)
            self._thread.start()
            self._ready.wait()
            if self._failure is not None:
                raise self._failure
            atexit.register(self._at_exit)
            return self.base_url

    def stop(self, timeout: float = 10.0) -> None:
        """Stop listening and working; unfinished tasks go on when a sandbox starts on the same directory."""
        atexit.unregister(self._at_exit)
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(timeout)

    def _at_exit(self) -> None:
        self.stop(timeout=1.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.is_set():
                log.exception("the sandbox ended")
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from aiohttp import web

        from .routes.app import build_app
        from .store import Store
        from .tasks import Tasks
        from .thread_pool import Pool

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        store = Store(self._state_dir)
        store.open()
        # apart, so that no request waits for a video
        renderers, chores = Pool(self._options.workers, name="render"), Pool(2, name="chores")
        tasks = Tasks(store, renderers, self._options)
        app = build_app(store, tasks, chores, self._options, base_url=self._base_url, down=self._go_down)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.5)
        try:
            await self._runner.setup()
            self._site = await self._listen(self._port)
            port = self._runner.addresses[0][1]
            shown = f"[{self._host}]" if ":" in self._host else self._host
            self._base_url[0] = f"http://{shown}:{port}"
            tasks.resume()
            pruning = asyncio.create_task(self._prune(store, chores))
            self._ready.set()
            await self._stop.wait()
            pruning.cancel()
        finally:
            await self._runner.cleanup()
            await tasks.close()
            renderers.close(timeout=2.0)
            chores.close(timeout=1.0)
            store.close()

    async def _listen(self, port: int) -> web.TCPSite:
        from aiohttp import web

        site = web.TCPSite(self._runner, self._host, port)
        await site.start()
        return site

    def _go_down(self, seconds: float) -> None:
        """Refuse connections for a while, as a fault."""
        self._down = asyncio.get_running_loop().create_task(self._pause(seconds))

    async def _pause(self, seconds: float) -> None:
        port = self._runner.addresses[0][1]
        await asyncio.sleep(0.05)  # the answer to the request that asked for it leaves first
        await self._site.stop()
        for connection in list(self._runner.server.connections if self._runner.server else ()):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(seconds)
        self._site = await self._listen(port)

    async def _prune(self, store: Store, chores: Pool) -> None:
        keep, most = self._options.keep_seconds, self._options.max_state_bytes
        while True:
            try:
                await chores.run(lambda: store.prune(keep_seconds=keep, max_bytes=most))
            except Exception:
                log.exception("the sandbox could not tidy up %s", self._state_dir)
            await asyncio.sleep(_PRUNE_SECONDS)
