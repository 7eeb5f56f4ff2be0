"""Reads the account's balance, which is free, for the budget, the nodes and the panel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import httpx

from ..api.client import ServiceClient
from ..api.connection import Connection
from ..core.errors import AuthenticationError, LedgerError, RequestError, ServerError, Wan27Error, reworded
from ..ledger import BalanceReading, KnownBalance, Ledger
from .models import service_of

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""How long the service may take to report the balance."""

BALANCE_SECONDS = 10.0
"""How long a balance is reused: the nodes of a graph ask once. What is sent meanwhile is subtracted from it."""

FAILURE_SECONDS = 5.0
"""How long a failure counts as the answer, so that the nodes of a graph do not each wait for a service that is down."""


class BalanceReader:
    """Asks each account once at a time, and keeps the answers in the ledger. Used on the runner's event loop only.

    `now` returns seconds since 1970.
    """

    def __init__(self, http: httpx.AsyncClient, ledger: Ledger, *, now: Callable[[], float]) -> None:
        self._http, self._ledger, self._now = http, ledger, now
        self._latest: dict[str, tuple[float, KnownBalance]] = {}
        """By account: when the answer came, and what it was."""
        self._asking: dict[str, asyncio.Task[KnownBalance]] = {}

    async def read(self, connection: Connection) -> BalanceReading:
        """Return the balance, at most BALANCE_SECONDS old. Cancelling does not stop a question that others wait for.

        Raises:
            RequestError: the service does not report it.
            NotDeliveredError, ServiceError: it cannot be read now.
        """
        found = await self.try_read(connection)
        if isinstance(found, Wan27Error):
            raise found
        return found

    async def try_read(self, connection: Connection) -> KnownBalance:
        """Return the balance, or why it cannot be read."""
        account = connection.account
        if account in self._latest and account not in self._asking:
            came, known = self._latest[account]
            oldest = BALANCE_SECONDS if isinstance(known, BalanceReading) else FAILURE_SECONDS
            if 0 <= self._now() - came < oldest:
                return known
        return await asyncio.shield(self.ask(connection))

    def ask(self, connection: Connection) -> asyncio.Task[KnownBalance]:
        """Ask the service in the background, or join the question that is on its way."""
        account = connection.account
        if account not in self._asking:
            asking = self._asking[account] = asyncio.ensure_future(self._ask(connection, account, self._now()))
            asking.add_done_callback(lambda _: self._asking.pop(account, None))
        return self._asking[account]

    def was_read(self, connection: Connection) -> bool:
        """Return whether the account was asked since this process started."""
        return connection.account in self._latest

    async def close(self) -> None:
        """Drop the questions that are on their way."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, connection: Connection, account: str, asked_at: float) -> KnownBalance:
        found: KnownBalance
        try:
            balance = await asyncio.wait_for(ServiceClient(connection, self._http).balance(), ANSWER_SECONDS)
        except asyncio.TimeoutError:
            found = ServerError(f"The service did not report the balance within {ANSWER_SECONDS:g} s.")
        except AuthenticationError as error:
            # Only some hosts report the balance to every key. If it is not the check of a key, the key may be valid.
            is_key_check = connection.dialect.key_check() == connection.dialect.balance()
            hint = "" if is_key_check else f" {connection.host.title} reports the balance only to some kinds of keys."
            found = reworded(error, f"{error}{hint}")
        except Wan27Error as error:
            found = error
        else:
            if balance is None:
                found = RequestError(f"{connection.host.title} does not report the balance of an account.")
            else:
                service, usd = service_of(connection), balance.available_usd
                found = BalanceReading(service, account, usd, balance.outstanding_usd, asked_at)
                await self._keep(found)
        self._latest[account] = (self._now(), found)
        return found

    async def _keep(self, reading: BalanceReading) -> None:
        try:
            await asyncio.to_thread(self._ledger.balances.add, reading)
        except LedgerError as error:  # only the comparison of the day needs it
            log.info("Wan 2.7: the balance could not be recorded: %s", error)
