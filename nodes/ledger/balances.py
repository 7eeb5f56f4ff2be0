"""The account's balance: checked against min_balance_usd, and kept to compare its change with the estimates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..config import Budget
from ..core.errors import BudgetError, Wan27Error
from ..core.limits import TASK_QUERY_HOURS
from . import budget as budgets
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


KnownBalance = BalanceReading | Wan27Error
"""The balance, or why it could not be read."""


@dataclass(frozen=True)
class Comparison:
    """By how much the balance fell since `since`, beside the estimates of the same time; both in USD.

    They differ if price_per_second is wrong, but also if credit was added, if others use the account, or while the
    service has not billed a running task yet.
    """

    since: float
    estimated_usd: float
    fell_by_usd: float


def check_balance(cost: float, *, balance: KnownBalance, reserved: float = 0.0, budget: Budget) -> None:
    """Raise BudgetError if less than min_balance_usd would be left in the account, or if that cannot be known.

    Args:
        cost: estimate of what is new, 0 if it is not known yet.
        balance: what the service reported, or why it could not be read.
        reserved: estimates of videos that may not be billed in it yet.
    """
    minimum = f"min_balance_usd under [budget] in config.toml is {budgets.usd(budget.min_balance_usd)}"
    if isinstance(balance, Wan27Error):
        raise BudgetError(
            f"{minimum}, and the balance cannot be read: {balance} It is not known whether enough would be left, so "
            "nothing was sent. Queue again later, or set min_balance_usd to 0 to send without looking at the balance."
        )
    if balance.available_usd - reserved - cost >= budget.min_balance_usd - budgets.ROUNDING:
        return
    parts = [f"{budgets.usd(balance.available_usd)} are available"]
    parts += [f"{budgets.usd(reserved)} of it are reserved for videos that are being made"] if reserved else []
    parts += [f"new videos would cost about {budgets.usd(cost)}"] if cost else []
    raise BudgetError(
        f"The balance is too low: {', '.join(parts)}, and {minimum}. Nothing was sent. Add credit to the account, or "
        "lower min_balance_usd (0: do not look at the balance). Finished videos that are used again cost nothing."
    )


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

    def reserved(self, balance: KnownBalance) -> float:
        """Return the estimates of the tasks that a balance may not contain yet: sent since then, or still running."""
        if isinstance(balance, Wan27Error):
            return 0.0
        sql = (
            "SELECT total(estimate) FROM tasks WHERE counted = 1 AND service = :service AND (created_at >= :at "
            "OR (state IN ('intent', 'submitted') AND created_at >= :at - :longest))"
        )
        with self._database.reading() as db:
            [total] = db.execute(sql, {**vars(balance), "longest": TASK_QUERY_HOURS * 3600.0}).fetchone()
        return float(total)

    def compare_today(self, latest: BalanceReading) -> Comparison | None:
        """Compare with the last reading before midnight, or with today's first; None if neither is earlier."""
        midnight = budgets.day_start(self._clock())
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
