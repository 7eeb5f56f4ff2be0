"""SQLite record of every paid task and every upload, on disk before any money is spent."""

from .balances import BalanceReading, KnownBalance
from .ledger import BalanceRequiredError, Ledger, OnChange, UnresolvedRequestsError
from .records import RUNNING_STATES, FinishedRun, State, TaskRecord
from .task_list import HostTotal, TaskFilter
from .uploads import Upload

__all__ = [
    "RUNNING_STATES",
    "BalanceReading",
    "BalanceRequiredError",
    "FinishedRun",
    "HostTotal",
    "KnownBalance",
    "Ledger",
    "OnChange",
    "State",
    "TaskFilter",
    "TaskRecord",
    "UnresolvedRequestsError",
    "Upload",
]
