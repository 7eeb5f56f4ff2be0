"""SQLite record of every paid task and every upload, on disk before any money is spent."""

from .ledger import Ledger, OnChange, UnresolvedRequestsError
from .records import RUNNING_STATES, State, TaskRecord
from .uploads import Upload

__all__ = ["RUNNING_STATES", "Ledger", "OnChange", "State", "TaskRecord", "UnresolvedRequestsError", "Upload"]
