"""Processes that are killed at random moments while the service fails at random: nothing is lost or paid twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Measured
from tests.service import Service
from tests.systems import KILLED_BY_ANOTHER

REPO = Path(__file__).resolve().parents[2]
TASKS = 12
"""Begun by each process."""
MOST_CALLS = 4 * TASKS
"""A process is killed after a random number of calls to the service. A task takes three without faults."""
FAULTS = [
    *({"at": "submit", "kind": "rate_limit", "retry_after": 0, "probability": 0.1, "seed": seed} for seed in (1,)),
    *(
        {"at": "submit", "kind": kind, "probability": 0.02, "seed": seed}
        for seed, kind in enumerate(["lost_answer", "server_error", "unavailable", "refuse", "page", "no_id", "error"])
    ),
    *(
        {"at": "result", "kind": kind, "probability": 0.06, "seed": seed}
        for seed, kind in enumerate(["rate_limit", "server_error", "broken_json", "cut", "unavailable", "processing"])
    ),
    *(
        {"at": "download", "kind": kind, "probability": 0.08, "seed": seed}
        for seed, kind in enumerate(["cut", "unavailable", "expired", "wrong_length", "server_error"])
    ),
]


def start(folder: Path, service: Service, seeds: range) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.runner.soak_worker", str(folder), service.url]
    return subprocess.Popen([*command, str(seeds.start), str(seeds.stop)], cwd=REPO, stdout=subprocess.PIPE)


def soak(kills: int, folder: Path, service: Service, measured: Measured) -> int:
    """Return the number of faults that hit."""
    moments = random.Random(14)
    service.faults(*FAULTS)
    killed = rounds = 0
    while killed < kills:
        process = start(folder, service, range(rounds * TASKS, (rounds + 1) * TASKS))
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"ready"
        last = service.count.total() + moments.randint(0, MOST_CALLS)
        while process.poll() is None and service.count.total() < last:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        killed += process.returncode == KILLED_BY_ANOTHER
        rounds += 1
    hits = sum(fault["hits"] for fault in service.fault_hits())
    service.faults()

    seeds = range(rounds * TASKS)
    out, _ = start(folder, service, seeds).communicate(timeout=1800)
    outcomes = {int(seed): outcome for seed, outcome in json.loads(out.splitlines()[-1]).items()}
    posts, task_of = Counter[int](), {}
    refused, paid = 0, Counter[int]()
    for post in service.posts():
        seed = post["body"]["seed"]
        if post["status"] is not None and 400 <= post["status"] < 500:
            refused += 1  # nothing was made, so it is sent again
            continue
        posts[seed] += 1
        if post["accepted"]:
            paid[seed] += 1
            task_of[seed] = post["task_id"]
    unknown = [seed for seed, outcome in outcomes.items() if outcome == "OutcomeUnknownError"]
    never_sent = [seed for seed in unknown if not posts[seed]]
    lost = [
        (seed, outcomes[seed])
        for seed in seeds
        if seed not in unknown and not _is_intact(Path(outcomes[seed]), service, task_of.get(seed))
    ]
    twice = [seed for seed in seeds if paid[seed] > 1 or posts[seed] > 1]
    measured(
        f"soak: {kills} kills, {hits} faults, {len(seeds)} requests; POSTs expected "
        f"{len(seeds) - len(never_sent) + refused} (one each, {refused} refused ones again, {len(never_sent)} killed "
        f"before it left), made {len(service.posts())}; videos lost {len(lost)}, paid twice {len(twice)}, reported as "
        f"unknown {len(unknown)}, of which {sum(paid[seed] for seed in unknown)} were accepted"
    )
    assert lost == []
    assert twice == []
    assert len(service.posts()) == len(seeds) - len(never_sent) + refused
    return hits


def _is_intact(file: Path, service: Service, task_id: str | None) -> bool:
    return task_id is not None and file.is_file() and file.read_bytes() == service.video(task_id)


def test_soak_with_five_kills(tmp_path: Path, service: Service, measured: Measured) -> None:
    soak(5, tmp_path, service, measured)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_soak_with_two_hundred_kills(tmp_path: Path, service: Service, measured: Measured) -> None:
    assert soak(200, tmp_path, service, measured) >= 1000
