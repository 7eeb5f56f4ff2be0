"""Whether the budget allows it. Pure figures; the ledger calls `check` inside the transaction that reserves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..config.settings import Budget
from ..core.errors import BudgetError

_ROUNDING = 1e-9

WHERE = (
    "Raise {setting} under [budget] in config.toml, or make the videos fewer or shorter, or choose 720P. "
    "These are estimates from price_per_second; finished videos that are used again cost nothing."
)


def check(cost: float, *, budget: Budget, spent_in_run: float, spent_today: float, videos: int) -> None:
    """Refuse what would pass a limit. All figures are estimates in USD.

    Raises:
        BudgetError: with the figures and the setting to change.
    """
    if cost <= 0:
        return
    what = f"{videos} new video{'s' if videos != 1 else ''} would cost about {usd(cost)}"
    if spent_in_run + cost > budget.per_run_usd + _ROUNDING:
        already = f" and this run has already used {usd(spent_in_run)}" if spent_in_run > 0 else ""
        raise BudgetError(
            f"Over the budget of one run: {what}{already}; the limit is {usd(budget.per_run_usd)}. "
            "Nothing was sent. " + WHERE.format(setting="per_run_usd")
        )
    if spent_today + cost > budget.per_day_usd + _ROUNDING:
        raise BudgetError(
            f"Over the budget of the day: {what}, {usd(spent_today)} were used today; the limit is "
            f"{usd(budget.per_day_usd)}. Nothing was sent. " + WHERE.format(setting="per_day_usd")
        )


def check_certain(estimates: Sequence[float], *, budget: Budget, spent_today: float = 0.0) -> None:
    """The check when a prompt is queued: `estimates` are of the videos that are certain to be new.

    Raises:
        BudgetError: see `check`.
    """
    check(sum(estimates), budget=budget, spent_in_run=0.0, spent_today=spent_today, videos=len(estimates))


def day_start(now: float) -> float:
    """Local midnight before `now`; both in seconds since 1970."""
    return datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def usd(amount: float) -> str:
    """An amount for an error text."""
    return f"${amount:.2f}"
