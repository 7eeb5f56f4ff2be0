"""Settings from config.toml and the environment, and the few that are written to the file."""

from .reader import FILE_NAME
from .settings import Budget, HostSettings, MissingKeyError, Polling, Settings, load_settings

__all__ = [
    "FILE_NAME",
    "Budget",
    "HostSettings",
    "MissingKeyError",
    "Polling",
    "Settings",
    "load_settings",
]
