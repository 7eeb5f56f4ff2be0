"""The account's balance as the service reported it, kept so that its change can be compared with the estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import budget
from .database import Database

KEEP_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class BalanceReading:
    """What the account held at one moment, in USD.

    Attributes:
        service: as in the tasks.
        account: tells the accounts of one service apart; no key can be read from it.
        at: when the service was asked, in seconds since 1970.
    """

    service: str
    account: str
    available_usd: float
    outstanding_usd: float
    at: float


@dataclass(frozen=True)
class Comparison:
    """By how much the balance fell since `since`, beside the estimates of the same time; both in USD.

    They differ if price_per_second is wrong, but also if credit was added, if others use the account, or while the
    service has not billed a running task yet.
    """

    since: float
    estimated_usd: float
    fell_by_usd: float


class Balances:
    """The table `balances`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def add(self, reading: BalanceReading) -> None:
        """Remember a reading for a month."""
        with self._database.writing() as db:
            db.execute("DELETE FROM balances WHERE at < ?", (self._clock() - KEEP_SECONDS,))
            db.execute(
                "INSERT INTO balances (service, account, available_usd, at) "
                "VALUES (:service, :account, :available_usd, :at)",
                vars(reading),
            )

    def compare_today(self, latest: BalanceReading) -> Comparison | None:
        """Compare with the last reading before midnight, or the first one of today; None if there is no earlier one."""
        midnight = budget.day_start(self._clock())
        with self._database.reading() as db:
            account = "SELECT available_usd, at FROM balances WHERE service = ? AND account = ? AND "
            values = (latest.service, latest.account, midnight)
            first = (
                db.execute(account + "at < ? ORDER BY at DESC LIMIT 1", values).fetchone()
                or db.execute(account + "at >= ? ORDER BY at LIMIT 1", values).fetchone()
            )
            if first is None or first["at"] >= latest.at:
                return None
            [estimated] = db.execute(
                "SELECT total(estimate) FROM tasks WHERE counted = 1 AND service = ? "
                "AND created_at >= ? AND created_at < ?",
                (latest.service, first["at"], latest.at),
            ).fetchone()
        return Comparison(first["at"], float(estimated), first["available_usd"] - latest.available_usd)
