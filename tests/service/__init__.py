"""The fake service of all tests: the sandbox in this process, which fails when a test tells it to."""

from tests.service.faults import at
from tests.service.service import FPS, KEY, Service

__all__ = ["FPS", "KEY", "Service", "at"]
