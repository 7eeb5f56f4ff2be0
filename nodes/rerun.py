"""When a node has to run again although its inputs are the same.

ComfyUI keeps what a node gave out and does not run it again while its inputs stay the same. What this pack gives out
can go stale by itself: a task fails, a file is deleted, an upload expires. So a node leaves a check behind when it
ran, and its `fingerprint_inputs` asks for its generation, which goes up when a check says that something went stale.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

_lock = threading.Lock()
_checks: dict[str, Callable[[], bool]] = {}
_generations: dict[str, int] = {}


def remember(key: str, is_stale: Callable[[], bool]) -> None:
    """Leave a check for what was just given out; it replaces the one before.

    Args:
        key: the node's class and id.
        is_stale: quick; asked before each later run of a prompt with this node.
    """
    with _lock:
        _checks[key] = is_stale


def generation(key: str) -> int:
    """A number that changes when what was given out last is of no use any more."""
    with _lock:
        check = _checks.get(key)
    stale = False
    if check is not None:
        try:
            stale = check()
        except Exception:  # a check that cannot be made must not stop the graph
            log.debug("Wan 2.7: what %s gave out cannot be checked.", key, exc_info=True)
            stale = True
    with _lock:
        if stale:
            _checks.pop(key, None)
            _generations[key] = _generations.get(key, 0) + 1
        return _generations.get(key, 0)
