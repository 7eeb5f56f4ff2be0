"""Settings from config.toml and the environment, and the one value that is written to the file: the API key."""

from .api_key import check_key, remove_key, store_key
from .reader import FILE_NAME, KEY_VARIABLE
from .settings import Budget, Polling, Settings, load_settings

__all__ = [
    "FILE_NAME",
    "KEY_VARIABLE",
    "Budget",
    "Polling",
    "Settings",
    "check_key",
    "load_settings",
    "remove_key",
    "store_key",
]
