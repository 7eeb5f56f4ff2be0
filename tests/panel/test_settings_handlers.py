"""The status and the balance, requested over HTTP as the browser does."""

from __future__ import annotations

import sys
import time
from unittest.mock import ANY

import pytest

from nodes.ledger import BalanceReading
from nodes.runner.models import service_of
from tests.panel.conftest import KEY, Host
from tests.service import Service, at


def test_status_of_a_new_installation_is_the_sandbox(host: Host) -> None:
    status = host.get("/wan27/status")

    assert status["problem"] is None
    assert status["connection"]["sandbox"]
    assert status["key"] == {
        "name": "novita",
        "host": "Novita AI",
        "present": False,
        "source": None,
        "variable": "NOVITA_API_KEY",
        "last4": None,
        "can_change": True,
    }
    assert status["prices"] == {"720P": 0.1, "1080P": 0.15}
    assert status["budget"] == {"per_run_usd": 10.0, "per_day_usd": 50.0}
    assert status["limits"]["prompt_chars"] == 5000


def test_status_counts_what_was_spent_today(host: Host) -> None:
    host.task("billed", estimate=0.75)
    host.task("free", connection="sandbox", estimate=9.0)

    status = host.get("/wan27/status")

    assert status["spent_today_usd"] == 0.75
    assert status["tasks"] == 2


def test_status_names_a_problem_in_the_settings_without_their_path(host: Host) -> None:
    (host.user / "config.toml").write_text('connection = "elsewhere"\n')

    status = host.get("/wan27/status")

    assert "elsewhere" in status["problem"]
    assert str(host.user) not in status["problem"]
    assert "config.toml" in status["problem"]
    assert status["limits"]["prompt_chars"] == 5000


def test_status_and_check_name_a_missing_package_without_a_path(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    text = "av is not installed. Install the pack's requirements.txt with ComfyUI's Python and restart."

    assert host.get("/wan27/status")["problem"] == text
    assert host.write("POST", "/wan27/check", {"part": "key"}).json()["text"] == text
    assert host.write("PUT", "/wan27/settings", {"set": {"storage.kind": "inline"}}).json()["error"] == text


def test_status_names_the_missing_key_of_the_host_that_is_set(host: Host) -> None:
    host.user.mkdir(parents=True, exist_ok=True)
    (host.user / "config.toml").write_text('connection = "fal"\n')

    status = host.get("/wan27/status")

    assert "needs a key" in status["problem"]
    assert (status["key"]["host"], status["key"]["variable"]) == ("fal", "FAL_KEY")


def test_status_says_which_of_several_hosts_was_chosen(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", KEY)
    assert host.get("/wan27/status")["connection"]["note"] is None
    monkeypatch.setenv("NOVITA_API_KEY", KEY)

    connection = host.get("/wan27/status")["connection"]

    assert connection["name"] == "fal" and 'connection = "novita"' in connection["note"]


def test_balance_is_refused_in_the_sandbox(host: Host) -> None:
    answer = host.ask("GET", "/wan27/balance")

    assert answer.status_code == 409
    assert "sandbox" in answer.json()["error"].lower()


@pytest.fixture
def paying(host: Host, service: Service) -> Host:
    """With a key of a service that has taken $0.30 for a video that is estimated at $0.50."""
    config = f'[novita]\napi_key = "{KEY}"\nbase_url = "{service.url}"\n'
    (host.user / "config.toml").write_text(config)
    service.credit_usd = 19.7
    connection = host.process.connection_for(host.process.settings())
    before = BalanceReading(service_of(connection), connection.account, 20.0, 0.0, time.time() - 60)
    host.ledger.balances.add(before)
    host.task("a video", service=service_of(connection))
    return host


def test_balance_stands_beside_the_estimates(paying: Host, service: Service) -> None:
    for _ in range(2):
        found = paying.get("/wan27/balance")
        assert (found["problem"], found["available_usd"], found["outstanding_usd"]) == (None, 19.7, 0.0)
        assert found["compared"] == {"since": ANY, "estimated_usd": 0.5, "fell_by_usd": 0.3}
    assert service.count["balance"] == 1
    assert paying.get("/wan27/status")["reports_balance"] is True


def test_balance_that_cannot_be_read_is_a_problem_without_the_key(paying: Host, service: Service) -> None:
    service.faults(*at("balance", "unauthorized", count=None))
    found = paying.get("/wan27/balance")

    assert set(found) == {"problem"}
    assert "INVALID_API_KEY" in found["problem"]
    assert KEY not in found["problem"]
