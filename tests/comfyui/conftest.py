from __future__ import annotations

from tests.host.fixtures import *  # noqa: F403  (fixtures and hooks are found by their names here)
