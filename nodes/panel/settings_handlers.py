"""Handlers of the routes about the setup: status, balance, settings and check."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..config import MissingKeyError
from ..core.errors import SettingsError, Wan27Error
from ..core.hosts import HOSTS
from ..services import Process
from .access import is_local
from .events import STATUS_EVENT, SendEvent
from .responses import error_text, json_body, json_response, problem, public_text
from .settings import check_part, save_settings, settings_view
from .views import balance_view, counts_view, key_view, limits_view, status_view


class SettingsHandlers:
    """The handlers. routes.py documents what they answer. `send` sends an event and its data to all browsers."""

    def __init__(self, process: Process, send: SendEvent) -> None:
        self._process, self._send = process, send
        self._changing = asyncio.Lock()

    async def get_status(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/status."""

        def read() -> dict[str, Any]:
            settings = self._process.settings()
            connection = None if settings.in_sandbox else self._process.connection_for(settings)
            return status_view(settings, connection, counts_view(self._process.ledger()), local=local)

        local = is_local(request)
        try:
            view = await asyncio.to_thread(read)
        except (SettingsError, Wan27Error) as error:
            text, key = error_text(error, self._process), key_view(None, self._host_in_use(), local=local)
            view = {"problem": text, "may_write": local, "key": key, "limits": limits_view()}
        return json_response(view)

    async def get_balance(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/balance."""
        if self._process.settings().in_sandbox:
            return problem("The sandbox has no account: nothing is billed there.", status=409)
        services = await self._process.services()
        try:
            found = await services.runner.balance(services.connection)
        except Wan27Error as error:
            return json_response({"problem": error_text(error, self._process)})
        compared = await asyncio.to_thread(services.ledger.balances.compare_today, found)
        return json_response(balance_view(found, compared))

    async def get_settings(self, request: web.Request) -> web.StreamResponse:
        """Answer GET /wan27/settings."""
        view = await asyncio.to_thread(settings_view, self._process.user_dir, local=is_local(request))
        return json_response(view)

    async def put_settings(self, request: web.Request) -> web.StreamResponse:
        """Answer PUT /wan27/settings."""
        changes = (await json_body(request)).get("set")
        if not isinstance(changes, Mapping):
            return problem("The request has no settings.", status=400)
        async with self._changing:
            await asyncio.to_thread(save_settings, self._process.user_dir, changes)
        self._send(STATUS_EVENT, {})
        self._process.resume_unfinished()  # tasks may have been waiting for a key among them
        return await self.get_settings(request)

    async def run_check(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /wan27/check."""
        finding = await check_part(self._process, str((await json_body(request)).get("part")))
        texts = {"text": finding.text, "setting": finding.setting}
        redacted = {name: public_text(text, self._process) for name, text in texts.items()}
        return json_response({"what": finding.what, "ok": finding.ok, **redacted})

    def _host_in_use(self) -> str:
        try:
            return self._process.settings().current.host.name
        except MissingKeyError as error:
            return error.host.name
        except SettingsError:
            return next(iter(HOSTS))
