"""Every edge of the protocol between this pack, its disk and the service, by name.

The driver of tests/runner and the nodes of tests/comfyui act at these points: they wrap a method, so that nothing that
ships knows of them. Loaded by its path inside ComfyUI, so it imports nothing of this repository.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple


class Point(NamedTuple):
    """An edge.

    Attributes:
        module: below `nodes`.
        owner: the class in it, "" for a function.
        name: the method or function.
        when: whether the edge lies before or after its call.
        state: of the record after the process died there; None if there is none.
        posts: that have left by then.
    """

    module: str
    owner: str
    name: str
    when: Literal["before", "after"]
    state: str | None
    posts: int


POINTS: dict[str, Point] = {
    "before the upload": Point("storage.sandbox", "SandboxStorage", "put", "before", None, 0),
    "uploaded, not recorded": Point("ledger.uploads", "Uploads", "add", "before", None, 0),
    "upload recorded": Point("ledger.uploads", "Uploads", "add", "after", None, 0),
    "before the intent": Point("ledger.ledger", "Ledger", "claim", "before", None, 0),
    "intent not committed": Point("ledger.ledger", "Ledger", "_insert", "after", None, 0),
    "intent committed": Point("ledger.ledger", "Ledger", "claim", "after", "intent", 0),
    "before the mark": Point("ledger.ledger", "Ledger", "begin_post", "before", "intent", 0),
    "marked, not sent": Point("ledger.ledger", "Ledger", "begin_post", "after", "intent", 0),
    "answer not read": Point("api.hosts.novita", "NovitaDialect", "read_submit", "before", "intent", 1),
    "answer not stored": Point("ledger.ledger", "Ledger", "record_task", "before", "intent", 1),
    "task stored": Point("ledger.ledger", "Ledger", "record_task", "after", "submitted", 1),
    "before the first poll": Point("api.client", "ServiceClient", "result", "before", "submitted", 1),
    "link not recorded": Point("ledger.ledger", "Ledger", "record_result", "before", "submitted", 1),
    "link recorded": Point("ledger.ledger", "Ledger", "record_result", "after", "succeeded", 1),
    "download begun": Point("api.download", "_Download", "_receive", "before", "succeeded", 1),
    "downloaded, not flushed": Point("api.download", "", "_flush", "before", "succeeded", 1),
    "before the rename": Point("api.download", "", "_rename", "before", "succeeded", 1),
    "renamed": Point("api.download", "", "_rename", "after", "succeeded", 1),
    "file not recorded": Point("ledger.ledger", "Ledger", "record_saved", "before", "succeeded", 1),
    "file recorded": Point("ledger.ledger", "Ledger", "record_saved", "after", "saved", 1),
}
RECOVERY_POINTS: dict[str, Point] = {
    "before the recovery log": Point("ledger.recovery_log", "RecoveryLog", "append", "before", "intent", 1),
    "in the recovery log": Point("ledger.recovery_log", "RecoveryLog", "append", "after", "intent", 1),
    "before the replay": Point("ledger.ledger", "Ledger", "_replay_recovery_log", "before", "intent", 1),
    "replayed": Point("ledger.ledger", "Ledger", "_replay_recovery_log", "after", "submitted", 1),
}
"""Reached only while the ledger cannot be written, and after that."""

IN_DOUBT = frozenset({"marked, not sent", "answer not read", "answer not stored", "before the recovery log"})
"""After a crash at these points it is unknown whether the request arrived."""


def arm(point: Point, act: Callable[[], None], load: Callable[[str], Any]) -> None:
    """Have `act` happen once at a point.

    Args:
        point: where.
        act: what.
        load: returns a module of the pack by its name below `nodes`.
    """
    owner = load(point.module)
    if point.owner:
        owner = getattr(owner, point.owner)
    original = getattr(owner, point.name)
    waiting = [act]

    def reach(when: str) -> None:
        if when == point.when and waiting:
            waiting.pop()()

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        reach("before")
        result = original(*args, **kwargs)
        reach("after")
        return result

    @functools.wraps(original)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        reach("before")
        result = await original(*args, **kwargs)
        reach("after")
        return result

    setattr(owner, point.name, awaited if inspect.iscoroutinefunction(original) else wrapped)
