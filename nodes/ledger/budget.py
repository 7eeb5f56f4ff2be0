"""The check of the budget, without I/O. The ledger calls it inside the transaction that reserves."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..config import Budget
from ..core.errors import BudgetError

ROUNDING = 1e-9
"""USD. Sums of prices are not exact."""

_YEARS = range(2000, 2100)
"""Before 1970 and after 3000, Windows has no timestamps."""

_ADVICE = (
    "Raise {setting} under [budget] in config.toml, or make fewer or shorter videos, or choose 720P. "
    "These are estimates from price_per_second, with a clip the upper ones; finished videos that are used again cost "
    "nothing."
)


def check(cost: float, *, budget: Budget, spent_in_run: float = 0.0, spent_today: float, videos: int) -> None:
    """Raise BudgetError, naming the setting to change, if a cost would exceed a limit. Amounts are estimates in USD."""
    if cost <= 0:
        return
    what = f"{videos} new video{'s' if videos != 1 else ''} would cost about {usd(cost)}"
    if spent_in_run + cost > budget.per_run_usd + ROUNDING:
        already = f" and this run has already used {usd(spent_in_run)}" if spent_in_run > 0 else ""
        raise BudgetError(
            f"Over the budget of one run: {what}{already}; the limit is {usd(budget.per_run_usd)}. "
            "Nothing was sent. " + _ADVICE.format(setting="per_run_usd")
        )
    if spent_today + cost > budget.per_day_usd + ROUNDING:
        raise BudgetError(
            f"Over the budget of the day: {what}, {usd(spent_today)} were used today; the limit is "
            f"{usd(budget.per_day_usd)}. Nothing was sent. " + _ADVICE.format(setting="per_day_usd")
        )


def day_of(seconds: float) -> str:
    """Return the local day of a time, such as "2026-11-26"."""
    return datetime.fromtimestamp(seconds).date().isoformat()


def day_bounds(day: str) -> tuple[float, float]:
    """Return the first second of a local day, and that of the next day.

    Raises ValueError if it is not a day, or is in a year that some systems have no timestamps of.
    """
    start = datetime.strptime(day, "%Y-%m-%d")
    if start.year not in _YEARS:
        raise ValueError(f"{day} is not in the years {_YEARS.start} to {_YEARS.stop - 1}")
    return start.timestamp(), (start + timedelta(days=1)).timestamp()


def day_start(now: float) -> float:
    """Return the local midnight before `now`; both in seconds since 1970."""
    return datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def usd(amount: float) -> str:
    """Return an amount as text."""
    return f"${amount:.2f}"
