"""Faults of the fake service, and the choice of the one that hits a request.

    service.faults(
        {"at": "submit", "kind": "lost_answer"},
        {"at": "result", "kind": "server_error", "probability": 0.2, "seed": 7},
        *at("download", "cut", "unavailable", "cut"),
    )

The list replaces the one before. A request gets the first fault of its place that hits; each has:
    at            the place: submit, task, result, download, upload, balance
    kind          see below
    count         how often it hits (default 1; with a probability: no limit); None: no limit
    skip          matching requests that pass before it begins (default 0)
    probability   0..1, of hitting; `seed` (default 0) makes the choice repeatable
    prompt        only for tasks whose prompt contains this text (not for upload and balance)
and the values of its kind (the defaults are in brackets):

submit    ok            works
          rate_limit    429 with Retry-After: retry_after (1; None: without the header)
          server_error  500 CREATE_TASK_FAILED; made (False): whether a task is made all the same
          unavailable   503 without JSON
          lost_answer   the task is made and logged, then the connection is closed without an answer
          slow          the task is made and logged, the answer comes after seconds (5)
          refuse        the connection is closed, no task is made
          page          the task is made, the answer is a web page
          no_id         the task is made, the answer has an empty task_id
          error         status (400), reason (ILLEGAL_PROMPT), message; nested (False): {"error": {...}} instead
task      fail          ends as TASK_STATUS_FAILED with reason (InternalError: ...)
          slow          takes seconds (30) longer
result    rate_limit, server_error (500 GET_RESULT_FAILED), unavailable, slow, error: as above
          not_found, unauthorized, task_failed: the errors TASK_NOT_FOUND, INVALID_API_KEY, TASK_FAILED
          broken_json   200 with half of the JSON
          data_wrapper  the answer inside {"data": {...}}
          status        task.status is value (TASK_STATUS_UNHEARD_OF); also for TASK_STATUS_RUNNING and _CANCELLED
          processing    task.status is TASK_STATUS_PROCESSING, a little is left
          missing_ttl   no video_url_ttl
          edit          video_url_ttl is ttl and extra is extra, unless None
          cut           the connection is closed without an answer
download  cut           the connection is closed after bytes (None: a random number, by the seed)
          half          a whole answer with half of the file
          ignore_range  200 with the whole file, whatever Range says
          expired       403
          server_error  500;  unavailable: 503
          wrong_length  Content-Length says by (1000) bytes more than are sent
          redirect      302 to url ("": the same URL)
          slow          chunk (65536) bytes every seconds (0.2)
          garbage       200 with bytes that are not an mp4
          page          200 with a web page
upload    server_error  500;  unavailable: 503;  slow: the answer comes after seconds (5)
balance   server_error, unavailable, slow, unauthorized: as above
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
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
    "submit": {
        **_ANSWERS,
        "ok": {},
        "server_error": {"made": False},
        "lost_answer": {},
        "refuse": {},
        "page": {},
        "no_id": {},
    },
    "task": {"fail": {"reason": "InternalError: set by a test"}, "slow": {"seconds": 30.0}},
    "result": {
        **_ANSWERS,
        "server_error": {},
        "not_found": {},
        "unauthorized": {},
        "task_failed": {},
        "broken_json": {},
        "data_wrapper": {},
        "status": {"value": "TASK_STATUS_UNHEARD_OF"},
        "processing": {},
        "missing_ttl": {},
        "edit": {"ttl": None, "extra": None},
        "cut": {},
    },
    "download": {
        "cut": {"bytes": None},
        "half": {},
        "ignore_range": {},
        "expired": {},
        "server_error": {},
        "unavailable": {},
        "wrong_length": {"by": 1000},
        "redirect": {"url": ""},
        "slow": {"seconds": 0.2, "chunk": 65_536},
        "garbage": {},
        "page": {},
    },
    "upload": {"server_error": {}, "unavailable": {}, "slow": {"seconds": 5.0}},
    "balance": {"server_error": {}, "unavailable": {}, "slow": {"seconds": 5.0}, "unauthorized": {}},
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

    def applies(self, prompt: str) -> bool:
        """Return whether the fault hits this request, and count the request."""
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
        """Return the fault as a dictionary, with its number of hits."""
        common = {"at": self.at, "kind": self.kind, "count": self.count, "skip": self.skip, "hits": self.hits}
        chance = {"probability": self.probability, "seed": self.seed, "prompt": self.prompt}
        return {**common, **chance, **self.values}


class Faults:
    """The faults of one service. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def set(self, entries: Sequence[dict[str, Any]]) -> None:
        """Replace the faults; raise ValueError if one is wrong."""
        faults = [_parse(entry) for entry in entries]
        with self._lock:
            self._faults = faults

    def show(self) -> list[dict[str, Any]]:
        """Return all faults with their number of hits, including those that are used up."""
        with self._lock:
            return [fault.show() for fault in self._faults]

    def pick(self, at: str, prompt: str = "") -> Fault | None:
        """Return the first fault at this place that hits, if any."""
        with self._lock:
            return next((fault for fault in self._faults if fault.at == at and fault.applies(prompt)), None)


def at(place: str, *kinds: str, **values: Any) -> list[dict[str, Any]]:
    """Return faults that hit the next requests at a place one after the other, all with the same values."""
    return [{"at": place, "kind": kind, **values} for kind in kinds]


def _parse(entry: dict[str, Any]) -> Fault:
    at, kind = entry.get("at", ""), entry.get("kind", "")
    if kind not in KINDS.get(at, {}):
        known = "; ".join(f"{place}: {', '.join(kinds)}" for place, kinds in KINDS.items())
        raise ValueError(f"no fault {kind!r} at {at!r}; the faults are {known}")
    defaults = KINDS[at][kind]
    if unknown := set(entry) - _COMMON - set(defaults):
        raise ValueError(f"{kind} at {at} has no value {', '.join(sorted(unknown))}")
    probability = entry.get("probability")
    count = entry.get("count", 1 if probability is None else None)
    if count is not None and type(count) is not int:
        raise ValueError(f"count is a whole number or None, not {count!r}")
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
        random=Random(seed),
    )
