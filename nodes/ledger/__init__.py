"""SQLite record of every paid task and every upload, on disk before any money is spent."""

from .balances import BalanceReading
from .ledger import Ledger, OnChange, UnresolvedRequestsError
from .records import RUNNING_STATES, FinishedRun, State, TaskRecord
from .uploads import Upload

__all__ = [
    "RUNNING_STATES",
    "BalanceReading",
    "FinishedRun",
    "Ledger",
    "OnChange",
    "State",
    "TaskRecord",
    "UnresolvedRequestsError",
    "Upload",
]
