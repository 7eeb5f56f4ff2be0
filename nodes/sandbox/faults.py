"""Faults that tests switch on with POST /sandbox/faults, and the choice of the one that hits.

    {"faults": [{"at": "submit", "kind": "lost_answer"},
                {"at": "result", "kind": "server_error", "probability": 0.2, "seed": 7},
                {"at": "download", "kind": "cut", "bytes": 100000, "count": 10}]}

The list replaces the one before; with "add": true it is put behind it. GET shows what is left, DELETE clears it.

Every fault has:
    at            where: submit, task, result, download, upload, listener
    kind          what, see below
    count         how often it hits (default 1; with a probability: no limit); null: no limit
    skip          matching requests that pass before it begins (default 0)
    probability   0..1, of hitting; `seed` (default 0) makes the choice repeatable
    prompt        only for tasks whose prompt contains this text (not for upload and listener)
and the values of its kind (the defaults are in brackets):

submit    rate_limit    429 with Retry-After: retry_after (1; null: without the header)
          server_error  500 CREATE_TASK_FAILED; made (false): whether a task is made all the same
          unavailable   503 without JSON
          lost_answer   the task is made and logged, then the connection is closed without an answer
          slow          the task is made and logged, the answer comes after seconds (5)
          refuse        the connection is closed, no task is made
          error         status (400), reason (ILLEGAL_PROMPT), message; nested (false): {"error": {...}} instead
task      fail          ends as TASK_STATUS_FAILED with reason (InternalError: ...)
          slow          takes seconds (30) longer
result    rate_limit, server_error (500 GET_RESULT_FAILED), unavailable, slow, error: as above
          broken_json   200 with half of the JSON
          data_wrapper  the answer inside {"data": {...}}
          status        task.status is value (TASK_STATUS_UNHEARD_OF); also for TASK_STATUS_RUNNING and _CANCELLED
          missing_ttl   no video_url_ttl;  zero_ttl: "0";  integer_ttl: a number
          cut           the connection is closed without an answer
download  cut           the connection is closed after bytes (null: a random number, by the seed)
          ignore_range  200 with the whole file, whatever Range says
          expired       403
          unavailable   503
          wrong_length  Content-Length says by (1000) bytes more than are sent
          redirect      302 to url
          slow          chunk (65536) bytes every seconds (0.2)
          garbage       200 with bytes that are no mp4
upload    server_error  500;  unavailable: 503;  slow: the answer comes after seconds (5)
listener  down          nothing listens for seconds (2): connections are refused. Begins when the answer has left
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from random import Random
from typing import Any

_COMMON = frozenset({"at", "kind", "count", "skip", "probability", "seed", "prompt"})
_ANSWERS: dict[str, dict[str, Any]] = {
    "rate_limit": {"retry_after": 1},
    "unavailable": {},
    "slow": {"seconds": 5.0},
    "error": {"status": 400, "reason": "ILLEGAL_PROMPT", "message": "set by a test", "nested": False},
}
KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "submit": {**_ANSWERS, "server_error": {"made": False}, "lost_answer": {}, "refuse": {}},
    "task": {"fail": {"reason": "InternalError: set by a test"}, "slow": {"seconds": 30.0}},
    "result": {
        **_ANSWERS,
        "server_error": {},
        "broken_json": {},
        "data_wrapper": {},
        "status": {"value": "TASK_STATUS_UNHEARD_OF"},
        "missing_ttl": {},
        "zero_ttl": {},
        "integer_ttl": {},
        "cut": {},
    },
    "download": {
        "cut": {"bytes": None},
        "ignore_range": {},
        "expired": {},
        "unavailable": {},
        "wrong_length": {"by": 1000},
        "redirect": {"url": ""},
        "slow": {"seconds": 0.2, "chunk": 65_536},
        "garbage": {},
    },
    "upload": {"server_error": {}, "unavailable": {}, "slow": {"seconds": 5.0}},
    "listener": {"down": {"seconds": 2.0}},
}
"""Every kind of fault by its place, with the defaults of its values."""


@dataclass
class Fault:
    """One fault and how much of it is left. `values` has every value of its kind."""

    at: str
    kind: str
    values: dict[str, Any]
    count: int | None = 1
    skip: int = 0
    probability: float | None = None
    seed: int = 0
    prompt: str = ""
    hits: int = 0
    random: Random = field(default_factory=Random, repr=False)

    def strikes(self, prompt: str) -> bool:
        """Whether it hits this request; counts."""
        if self.prompt not in prompt or (self.count is not None and self.hits >= self.count):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability is not None and self.random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def show(self) -> dict[str, Any]:
        """As JSON, with the number of hits."""
        common = {"at": self.at, "kind": self.kind, "count": self.count, "skip": self.skip, "hits": self.hits}
        chance = {"probability": self.probability, "seed": self.seed, "prompt": self.prompt}
        return {**common, **chance, **self.values}


class Faults:
    """The faults of one sandbox. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def set(self, faults: list[Fault], *, add: bool = False) -> None:
        """Replace the faults, or put more behind them."""
        with self._lock:
            self._faults = [*self._faults, *faults] if add else list(faults)

    def show(self) -> list[dict[str, Any]]:
        """All of them, also those that are used up."""
        with self._lock:
            return [fault.show() for fault in self._faults]

    def pick(self, at: str, prompt: str = "") -> Fault | None:
        """The first fault at this place that hits, if any."""
        with self._lock:
            return next((fault for fault in self._faults if fault.at == at and fault.strikes(prompt)), None)


def parse_faults(value: Any) -> list[Fault]:
    """Read the list of the control route; ValueError says what is wrong with it."""
    if not isinstance(value, list):
        raise ValueError('send {"faults": [...]}')
    return [_parse(entry) for entry in value]


def _parse(entry: Any) -> Fault:
    if not isinstance(entry, dict):
        raise ValueError(f"a fault is an object, not {entry!r}")
    at, kind = entry.get("at"), entry.get("kind")
    if at not in KINDS or kind not in KINDS[at]:
        known = "; ".join(f"{place}: {', '.join(kinds)}" for place, kinds in KINDS.items())
        raise ValueError(f"no fault {kind!r} at {at!r}; there are {known}")
    defaults = KINDS[at][kind]
    if unknown := set(entry) - _COMMON - set(defaults):
        raise ValueError(f"{kind} at {at} has no value {', '.join(sorted(unknown))}")
    probability = entry.get("probability")
    count = entry.get("count", 1 if probability is None else None)
    if count is not None and type(count) is not int:
        raise ValueError(f"count is a whole number or null, not {count!r}")
    seed = int(entry.get("seed", 0))
    return Fault(
        at=at,
        kind=kind,
        values={name: entry.get(name, default) for name, default in defaults.items()},
        count=count,
        skip=int(entry.get("skip", 0)),
        probability=None if probability is None else float(probability),
        seed=seed,
        prompt=str(entry.get("prompt", "")),
        random=Random(seed),  # noqa: S311 - repeatable on purpose
    )
