"""The routes under /wan27/, over HTTP as the browser asks them."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import av
import httpx
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from nodes import services
from nodes.config.settings import Budget
from nodes.core.errors import DownloadError
from nodes.ledger.ledger import Ledger
from nodes.ledger.records import Claim
from nodes.panel import routes
from nodes.panel.access import at_this_machine, refusal

KEY = "sk-very-secret-0123456789"
SIGNED = "https://bucket.example/result.mp4?signature=0123456789abcdef"


class Panel:
    """The routes on a server of their own, and the folders of a ComfyUI."""

    def __init__(self, folder: Path) -> None:
        self.user, self.output = folder / "user", folder / "output"
        self.user.mkdir()
        self.output.mkdir()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = self._do(self._start())

    async def _start(self) -> str:
        table = web.RouteTableDef()
        routes.add_routes(table)
        app = web.Application()
        app.add_routes(table)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def stop(self) -> None:
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def ledger(self) -> Ledger:
        return services.open_ledger()

    @property
    def own_page(self) -> dict[str, str]:
        return {"Origin": self.url, "Content-Type": "application/json"}

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, trust_env=False, timeout=20, **arguments)

    def get(self, path: str, **arguments: Any) -> Any:
        return self.ask("GET", path, **arguments).raise_for_status().json()

    def write(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.ask(method, path, headers=self.own_page, content=json.dumps(body or {}))

    def task(self, prompt: str, *, connection: str = "novita", estimate: float = 0.5) -> int:
        claim = Claim(
            fingerprint=prompt,
            file_fingerprint=prompt,
            reuse=True,
            service=connection,
            connection=connection,
            base_url="https://api.example",
            request=json.dumps({"prompt": prompt, "duration": 5, "resolution": "720P"}, ensure_ascii=False),
            estimate=estimate,
            counted=connection != "sandbox",
            run_id="run",
            prompt_id="prompt",
            node_id="7",
        )
        row_id = self.ledger.claim([claim], Budget(1000, 1000))[0].row.id
        self.ledger.begin_post(row_id)
        self.ledger.record_task(row_id, f"task-{row_id}")
        return row_id

    def saved(self, prompt: str, file: str = "wan27/a.mp4") -> int:
        row_id = self.task(prompt)
        path = self.output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        _clip(path)
        self.ledger.record_result(row_id, url=SIGNED, expires_at=None, seed=3, executed_at=None, completed_at=None)
        self.ledger.record_saved(
            row_id,
            file=file,
            size=path.stat().st_size,
            sha256=f"{row_id:064x}",
            video={"seconds": 1.0, "size": [64, 48]},
        )
        return row_id


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Panel]:
    for name in ("NOVITA_API_KEY", "WAN27_CONNECTION", "WAN27_NOVITA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    made = Panel(tmp_path)
    monkeypatch.setattr(services, "_process", services._Process())
    monkeypatch.setattr(services, "user_dir", lambda: made.user)
    monkeypatch.setattr(services, "output_dir", lambda: made.output)
    monkeypatch.setattr(routes, "_balance", None)
    yield made
    made.stop()
    services.open_ledger().close()


def _clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for _ in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((480, 640, 3), 200, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# Reading --------------------------------------------------------------------------------------------------------


def test_the_status_of_a_new_installation_is_the_sandbox(house: Panel) -> None:
    status = house.get("/wan27/status")

    assert status["problem"] is None
    assert status["connection"]["sandbox"]
    assert status["key"] == {
        "present": False,
        "source": None,
        "variable": "NOVITA_API_KEY",
        "last4": None,
        "can_change": True,
    }
    assert status["prices"] == {"720P": 0.1, "1080P": 0.15}
    assert status["budget"] == {"per_run_usd": 10.0, "per_day_usd": 50.0}
    assert status["limits"]["prompt_chars"] == 5000


def test_the_status_counts_what_was_spent_today(house: Panel) -> None:
    house.task("billed", estimate=0.75)
    house.task("free", connection="sandbox", estimate=9.0)

    status = house.get("/wan27/status")

    assert status["spent_today_usd"] == 0.75
    assert status["tasks"] == 2


def test_settings_that_cannot_be_used_are_told_without_their_path(house: Panel) -> None:
    (house.user / "config.toml").write_text('connection = "elsewhere"\n')

    status = house.get("/wan27/status")

    assert "elsewhere" in status["problem"]
    assert str(house.user) not in status["problem"]
    assert "config.toml" in status["problem"]
    assert status["limits"]["prompt_chars"] == 5000


def test_tasks_come_in_pages_and_filtered(house: Panel) -> None:
    for number in range(5):
        house.task(f"boat {number}")
    house.ledger.fail(2, "no", billed=True)

    first = house.get("/wan27/tasks?limit=2")
    second = house.get(f"/wan27/tasks?limit=2&before={first['before']}")

    assert [task["prompt"] for task in first["tasks"] + second["tasks"]] == ["boat 4", "boat 3", "boat 2", "boat 1"]
    assert first["total"] == 5
    assert [task["id"] for task in house.get("/wan27/tasks?group=failed")["tasks"]] == [2]
    assert [task["prompt"] for task in house.get("/wan27/tasks?text=boat+3")["tasks"]] == ["boat 3"]


@pytest.mark.parametrize(
    "query", ["group=everything", "limit=many", "before=-1", "before=1%20OR%201", "limit=9999999999999999"]
)
def test_a_query_that_makes_no_sense_is_refused(query: str, house: Panel) -> None:
    assert house.ask("GET", f"/wan27/tasks?{query}").status_code == 400


def test_a_saved_task_has_a_file_for_comfyuis_own_view_and_a_poster(house: Panel) -> None:
    row_id = house.saved("done")

    task = house.get(f"/wan27/tasks/{row_id}")
    picture = house.ask("GET", f"/wan27/posters/{row_id}?v={task['poster']}")

    assert task["state"] == "saved"
    assert task["file"] == {"filename": "a.mp4", "subfolder": "wan27", "type": "output"}
    assert picture.headers["Content-Type"] == "image/jpeg"
    assert picture.content[:2] == b"\xff\xd8"
    assert len(picture.content) < 20_000
    assert len(list((house.user / "posters").iterdir())) == 1


def test_a_deleted_video_is_told_as_missing(house: Panel) -> None:
    row_id = house.saved("gone")
    (house.output / "wan27" / "a.mp4").unlink()

    task = house.get(f"/wan27/tasks/{row_id}")

    assert (task["state"], task["file"], task["poster"]) == ("missing", None, None)
    assert house.ask("GET", f"/wan27/posters/{row_id}").status_code == 404


def test_no_poster_is_made_of_a_file_outside_the_output_folder(house: Panel) -> None:
    row_id = house.saved("inside")
    _clip(house.user / "secret.mp4")
    house.ledger.record_saved(row_id, file="../user/secret.mp4", size=1, sha256="f" * 64, video={})

    assert house.ask("GET", f"/wan27/posters/{row_id}").status_code == 404
    assert house.get(f"/wan27/tasks/{row_id}")["file"] is None


def test_a_broken_video_has_no_poster(house: Panel) -> None:
    row_id = house.saved("broken")
    (house.output / "wan27" / "a.mp4").write_bytes(b"no video")

    assert house.ask("GET", f"/wan27/posters/{row_id}").status_code == 404


def test_no_reading_route_leaks_key_path_or_signed_url(house: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    (house.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\nbase_url = "http://127.0.0.1:9"\n')
    row_id = house.saved("done")
    failed = house.task("failed")
    house.ledger.fail(failed, f"could not fetch {SIGNED} into {house.output}/wan27/x.mp4", billed=True)

    paths = ["/wan27/status", "/wan27/tasks", f"/wan27/tasks/{row_id}", f"/wan27/tasks/{failed}", "/wan27/balance"]
    told = "".join(house.ask("GET", path).text for path in paths)

    assert KEY not in told
    assert "signature" not in told
    assert str(house.output) not in told
    assert str(house.user) not in told
    assert "https://bucket.example/…" in told, "the host is told: it helps"


def test_pages_of_other_sites_get_nothing(house: Panel) -> None:
    for path in ("/wan27/status", "/wan27/tasks", "/wan27/balance"):
        answer = house.ask("GET", path, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403


def test_only_this_machine_sees_the_end_of_the_key(house: Panel) -> None:
    (house.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\n')

    here = house.get("/wan27/status")["key"]
    proxied = house.get("/wan27/status", headers={"X-Forwarded-For": "203.0.113.5"})["key"]
    rebound = house.get("/wan27/status", headers={"Host": "evil.example"})["key"]

    assert here["last4"] == KEY[-4:]
    assert proxied["last4"] is None
    assert rebound["last4"] is None
    assert not proxied["can_change"]


# Writing --------------------------------------------------------------------------------------------------------

FOREIGN: dict[str, dict[str, str | None]] = {
    "another site": {"Origin": "https://evil.example"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "a sandboxed frame": {"Origin": "null"},
    "no origin": {"Origin": None},
    "a form": {"Content-Type": "text/plain"},
    "no content type": {"Content-Type": None},
    "DNS rebinding": {"Host": "evil.example", "Origin": "http://evil.example"},
    "a proxy": {"X-Forwarded-For": "203.0.113.5"},
    "a cross-site fetch": {"Sec-Fetch-Site": "cross-site"},
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/wan27/key"), ("DELETE", "/wan27/key"), ("POST", "/wan27/tasks/1/fetch")]
)
def test_writing_is_for_our_own_page_on_this_machine(case: str, method: str, path: str, house: Panel) -> None:
    headers = {name: value for name, value in (house.own_page | FOREIGN[case]).items() if value is not None}

    answer = house.ask(method, path, headers=headers, content=json.dumps({"key": KEY}))

    assert answer.status_code == 403
    assert not (house.user / "config.toml").exists()


@pytest.mark.parametrize(
    ("peer", "here"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.168.1.5", False), (None, False)],
)
def test_this_machine_is_told_by_the_address(peer: str | None, here: bool) -> None:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 5) if peer and name == "peername" else default
    headers = {"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:8188", "Content-Type": "application/json"}
    request = make_mocked_request("PUT", "/wan27/key", headers=headers, transport=transport)

    assert at_this_machine(request) is here
    assert (refusal(request) is None) is here


def test_a_key_is_stored_used_and_never_told(house: Panel) -> None:
    answer = house.write("PUT", "/wan27/key", {"key": f"  {KEY}\n"})

    assert answer.status_code == 200
    assert answer.json()["last4"] == KEY[-4:]
    assert KEY not in answer.text
    assert services.current_settings().novita.api_key == KEY
    assert stat.S_IMODE((house.user / "config.toml").stat().st_mode) == 0o600
    assert not house.get("/wan27/status")["connection"]["sandbox"]

    answer = house.write("DELETE", "/wan27/key")

    assert answer.json()["present"] is False
    assert house.get("/wan27/status")["connection"]["sandbox"]


def test_a_new_key_has_unfinished_tasks_looked_for(house: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    monkeypatch.setattr(services, "resume_unfinished", lambda: keys.append(services.current_settings().novita.api_key))

    house.write("PUT", "/wan27/key", {"key": "short"})
    house.write("PUT", "/wan27/key", {"key": KEY})

    assert keys == [KEY]


@pytest.mark.parametrize("body", [{"key": "short"}, {"key": 5}, {}, ["key"], "text"])
def test_what_is_no_key_is_refused(body: Any, house: Panel) -> None:
    answer = house.write("PUT", "/wan27/key", body)

    assert answer.status_code == 409
    assert answer.json()["error"]
    assert not (house.user / "config.toml").exists()


def test_a_key_of_the_environment_wins_and_stays(house: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVITA_API_KEY", KEY)

    put = house.write("PUT", "/wan27/key", {"key": "sk-another-key-0123"})
    delete = house.write("DELETE", "/wan27/key")
    key = house.get("/wan27/status")["key"]

    assert (put.status_code, delete.status_code) == (409, 409)
    assert "NOVITA_API_KEY" in put.json()["error"]
    assert key["source"] == "environment"
    assert not key["can_change"]


@pytest.fixture
def fetching(house: Panel, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the runner was asked to wait for; a task whose prompt is "gone" cannot be fetched."""
    asked: list[Any] = []

    async def wait(task_id: str, **_: Any) -> None:
        asked.append(task_id)
        if task_id == "task-2":
            raise DownloadError(f"The video is gone from {SIGNED}.")

    async def get_services() -> Any:
        return SimpleNamespace(runner=SimpleNamespace(wait=wait), connection=object())

    monkeypatch.setattr(services, "get_services", get_services)
    return asked


def test_a_task_can_be_fetched_again(house: Panel, fetching: list[Any]) -> None:
    house.task("there")
    house.task("gone")

    good, bad, none = (house.write("POST", f"/wan27/tasks/{n}/fetch") for n in (1, 2, 3))

    assert good.status_code == 202
    assert bad.status_code == 409
    assert bad.json()["error"] == "The video is gone from https://bucket.example/…"
    assert none.status_code == 409
    assert fetching == ["task-1", "task-2"]


def test_the_sandbox_has_no_balance(house: Panel) -> None:
    answer = house.ask("GET", "/wan27/balance")

    assert answer.status_code == 409
    assert "sandbox" in answer.json()["error"].lower()
