"""The stand-ins, and a fixture that runs a test against each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nodes.api.hosts import DIALECTS
from tests.hosts.dashscope import DashScope
from tests.hosts.fal import Fal
from tests.hosts.kie import Kie
from tests.hosts.novita import Novita
from tests.hosts.ppio import Ppio
from tests.hosts.replicate import Replicate
from tests.hosts.stand_in import StandIn

STAND_INS: dict[str, type[StandIn]] = {each.name: each for each in (Novita, Ppio, DashScope, Fal, Replicate, Kie)}
KNOWN = [name for name in STAND_INS if name in DIALECTS]
"""The hosts that the pack has a dialect for."""
UPLOADING = [name for name, made in STAND_INS.items() if made.upload_seconds]
LISTING = [name for name, made in STAND_INS.items() if made.lists]
CANCELING = [name for name, made in STAND_INS.items() if made.cancels]


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test against these hosts alone."""
    return pytest.mark.parametrize("running", [name for name in names if name in KNOWN], indirect=True)


@pytest.fixture(scope="module", params=KNOWN)
def running(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    with STAND_INS[request.param]() as stand_in:
        yield stand_in


@pytest.fixture
def host(running: StandIn) -> Iterator[StandIn]:
    """A host that has seen nothing yet. A mistake that the test leaves in `mistakes` fails it."""
    running.reset()
    yield running
    assert running.mistakes == []
    running.reset()
