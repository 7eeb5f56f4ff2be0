"""When a node has to run again although its inputs are the same.

ComfyUI keeps what a node gave out and does not run it again while its inputs stay the same. What this pack gives out
can go stale by itself: a task fails, a file is deleted, an upload expires. So a node leaves a check behind when it
ran, and its `fingerprint_inputs` asks for its generation, which goes up when a check says that something went stale.

ComfyUI may keep what a node gave out for several sets of inputs, and several workflows have a node of the same id. So
the checks before stay beside the last one: each of them may still stand for something that would be given out again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

CHECKS = 64
"""For each node, the last ones. More than a cache usually keeps of one; each is a look at a few files or rows."""

_lock = threading.Lock()
_checks: dict[str, deque[Callable[[], bool]]] = {}
_generations: dict[str, int] = {}


def remember(key: str, is_stale: Callable[[], bool]) -> None:
    """Leave a check for what was just given out.

    Args:
        key: the node's class and id.
        is_stale: quick; asked before each later run of a prompt with this node.
    """
    with _lock:
        _checks.setdefault(key, deque(maxlen=CHECKS)).append(is_stale)


def generation(key: str) -> int:
    """A number that changes when something that was given out is of no use any more."""
    with _lock:
        checks = list(_checks.get(key, ()))
    stale = [check for check in checks if _says_stale(check, key)]
    with _lock:
        left = _checks.get(key, deque())
        gone = [check for check in stale if check in left]
        for check in gone:
            left.remove(check)
        if gone:
            _generations[key] = _generations.get(key, 0) + 1
        return _generations.get(key, 0)


def _says_stale(check: Callable[[], bool], key: str) -> bool:
    try:
        return check()
    except Exception:  # a check that cannot be made must not stop the graph
        log.debug("Wan 2.7: what %s gave out cannot be checked.", key, exc_info=True)
        return True
