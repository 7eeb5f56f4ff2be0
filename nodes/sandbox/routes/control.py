"""POST, GET and DELETE /sandbox/faults; GET and DELETE /sandbox/log. For tests; see `faults` for the JSON.

The log is a list, oldest first, of {"time", "status", "accepted", "task_id", "fault", "fingerprint", "body"}: one entry
for every POST that arrived, written before its answer left. status is null where no answer was sent.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from ..faults import Fault, Faults, parse_faults
from ..store import Store


class Control:
    """Handlers that steer the sandbox."""

    def __init__(self, store: Store, faults: Faults, down: Callable[[float], None]) -> None:
        """`down` stops listening for some seconds, soon."""
        self._store, self._faults, self._down = store, faults, down

    def routes(self) -> list[web.RouteDef]:
        """None of them exists at the vendor."""
        return [
            web.post("/sandbox/faults", self.set_faults),
            web.get("/sandbox/faults", self.get_faults),
            web.delete("/sandbox/faults", self.clear_faults),
            web.get("/sandbox/log", self.get_log),
            web.delete("/sandbox/log", self.clear_log),
        ]

    async def set_faults(self, request: web.Request) -> web.Response:
        """Switch faults on."""
        # a web page can post other types to any host without being asked
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="send application/json")
        try:
            value = await request.json()
            faults = parse_faults(value.get("faults") if isinstance(value, dict) else None)
        except (ValueError, TypeError) as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        now, later = _split(faults)
        self._faults.set(later, add=bool(value.get("add")))
        for fault in now:
            self._down(float(fault.values["seconds"]))
        return await self.get_faults(request)

    async def get_faults(self, request: web.Request) -> web.Response:
        """What is set, and how often each has hit."""
        return web.json_response({"faults": self._faults.show()})

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Switch all off."""
        self._faults.set([])
        return await self.get_faults(request)

    async def get_log(self, request: web.Request) -> web.Response:
        """Every POST seen."""
        return web.json_response(self._store.posts())

    async def clear_log(self, request: web.Request) -> web.Response:
        """Forget them."""
        self._store.forget_posts()
        return web.json_response([])


def _split(faults: list[Fault]) -> tuple[list[Fault], list[Fault]]:
    return [f for f in faults if f.at == "listener"], [f for f in faults if f.at != "listener"]
