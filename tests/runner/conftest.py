from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from tests.fixtures import house, service
from tests.service import Service

__all__ = ["house", "service"]


async def soon(check: Callable[[], object], seconds: float = 60.0) -> None:
    """Return when the check says yes."""
    for _ in range(int(seconds / 0.01)):
        if check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not so after {seconds} s")


def only(items: Sequence[Any]) -> Any:
    assert len(items) == 1
    return items[0]


def content(service: Service, index: int = 0) -> bytes:
    return service.video(service.accepted()[index])
