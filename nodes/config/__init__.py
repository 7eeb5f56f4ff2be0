"""Settings from config.toml and the environment, and the few that are written to the file."""

from .api_key import check_key, remove_key, store_key
from .reader import FILE_NAME
from .settings import Budget, HostSettings, MissingKeyError, Polling, Settings, load_settings

__all__ = [
    "FILE_NAME",
    "Budget",
    "HostSettings",
    "MissingKeyError",
    "Polling",
    "Settings",
    "check_key",
    "load_settings",
    "remove_key",
    "store_key",
]
