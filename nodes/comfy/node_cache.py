"""When a node has to run again although its inputs are the same.

ComfyUI caches the outputs of a node and does not run it again while its inputs stay the same. The outputs of this pack
can become stale all the same: a task fails, a file is deleted, an upload expires. So a node adds a check when it runs,
and its `fingerprint_inputs` includes its generation, which increases when a check finds stale outputs.

ComfyUI may cache the outputs for several sets of inputs, and several workflows have a node of the same id. So earlier
checks are kept beside the latest one: each may stand for outputs that would be used again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

PROMPTS = 64
"""Prompts whose checks are kept, for each node. More than a cache usually holds of one node; a check is a look at a few
files or records."""


@dataclass(eq=False)
class _Run:
    """The checks that a node added in one prompt. A list input makes ComfyUI run the node several times in it."""

    prompt_id: str
    checks: list[Callable[[], bool]] = field(default_factory=list)


class NodeCache:
    """Staleness checks of all nodes, each named by a key of its class and its id. Usable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, deque[_Run]] = {}
        self._generations: dict[str, int] = {}

    def add_check(self, key: str, is_stale: Callable[[], bool], *, prompt_id: str) -> None:
        """Add a check for outputs that the node is about to return.

        `is_stale` must be quick: each later run of a prompt with this node calls it. `prompt_id` is "" outside ComfyUI.
        """
        with self._lock:
            runs = self._runs.setdefault(key, deque(maxlen=PROMPTS))
            if not runs or not prompt_id or runs[-1].prompt_id != prompt_id:
                runs.append(_Run(prompt_id))
            runs[-1].checks.append(is_stale)

    def generation(self, key: str) -> int:
        """Return a number that increases when earlier outputs of the node are found to be stale."""
        with self._lock:
            runs = [(run, list(run.checks)) for run in self._runs.get(key, ())]
        stale = [run for run, checks in runs if any(_is_stale(check, key) for check in checks)]
        with self._lock:
            kept = self._runs.get(key, deque())
            dropped = [run for run in stale if run in kept]
            for run in dropped:
                kept.remove(run)
            if dropped:
                self._generations[key] = self._generations.get(key, 0) + 1
            return self._generations.get(key, 0)


def _is_stale(check: Callable[[], bool], key: str) -> bool:
    try:
        return check()
    except Exception:  # a failing check must not stop the graph
        log.debug("Wan 2.7: the cached outputs of %s cannot be checked.", key, exc_info=True)
        return True
