"""The routes under /wan27/, requested over HTTP as the browser does."""

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
from nodes.ledger import Ledger, TaskRecord
from nodes.panel.access import is_local, refusal
from nodes.panel.routes import Panel

KEY = "sk-very-secret-0123456789"
SIGNED = "https://bucket.example/result.mp4?signature=0123456789abcdef"


class Host:
    """The routes on a server of their own, with the folders of a ComfyUI."""

    def __init__(self, folder: Path) -> None:
        self.user, self.output = folder / "user", folder / "output"
        self.user.mkdir()
        self.output.mkdir()
        self.events: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = self._do(self._start())

    async def _start(self) -> str:
        table = web.RouteTableDef()
        Panel(lambda event, data: self.events.append(event), self._loop).add_routes(table)
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
        wanted = TaskRecord(
            fingerprint=prompt,
            file_fingerprint=prompt,
            service=connection,
            connection=connection,
            base_url="https://api.example",
            request={"prompt": prompt, "duration": 5, "resolution": "720P"},
            estimate=estimate,
            counted=connection != "sandbox",
            run_id="run",
            prompt_id="prompt",
            node_id="7",
        )
        [(record, _)] = self.ledger.claim([wanted], reuse=[True], budget=Budget(1000, 1000))
        row_id = record.id
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
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name in ("NOVITA_API_KEY", "WAN27_CONNECTION", "WAN27_NOVITA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    made = Host(tmp_path)
    monkeypatch.setattr(services, "_process", services._Process())
    monkeypatch.setattr(services, "user_dir", lambda: made.user)
    monkeypatch.setattr(services, "output_dir", lambda: made.output)
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


def test_status_of_a_new_installation_is_the_sandbox(host: Host) -> None:
    status = host.get("/wan27/status")

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


def test_tasks_are_paged_and_filtered(host: Host) -> None:
    for number in range(5):
        host.task(f"boat {number}")
    host.ledger.fail(2, "no", billed=True)

    first = host.get("/wan27/tasks?limit=2")
    second = host.get(f"/wan27/tasks?limit=2&before={first['before']}")

    assert [task["prompt"] for task in first["tasks"] + second["tasks"]] == ["boat 4", "boat 3", "boat 2", "boat 1"]
    assert first["total"] == 5
    assert [task["id"] for task in host.get("/wan27/tasks?group=failed")["tasks"]] == [2]
    assert [task["prompt"] for task in host.get("/wan27/tasks?text=boat+3")["tasks"]] == ["boat 3"]


@pytest.mark.parametrize(
    "query", ["group=everything", "limit=many", "before=-1", "before=1%20OR%201", "limit=9999999999999999"]
)
def test_tasks_refuse_an_invalid_query(query: str, host: Host) -> None:
    assert host.ask("GET", f"/wan27/tasks?{query}").status_code == 400


def test_task_saved_has_a_file_for_comfyuis_view_and_a_thumbnail(host: Host) -> None:
    row_id = host.saved("done")

    task = host.get(f"/wan27/tasks/{row_id}")
    thumbnail = host.ask("GET", f"/wan27/posters/{row_id}?v={task['poster']}")

    assert (task["state"], task["group"]) == ("saved", "saved")
    assert task["file"] == {"filename": "a.mp4", "subfolder": "wan27", "type": "output"}
    assert thumbnail.headers["Content-Type"] == "image/jpeg"
    assert thumbnail.content[:2] == b"\xff\xd8"
    assert len(thumbnail.content) < 20_000
    assert len(list((host.user / "posters").iterdir())) == 1


def test_task_with_a_deleted_video_is_missing(host: Host) -> None:
    row_id = host.saved("gone")
    (host.output / "wan27" / "a.mp4").unlink()

    task = host.get(f"/wan27/tasks/{row_id}")

    assert (task["state"], task["group"], task["file"], task["poster"]) == ("missing", "saved", None, None)
    assert host.ask("GET", f"/wan27/posters/{row_id}").status_code == 404


def test_thumbnail_is_refused_for_a_file_outside_the_output_folder(host: Host) -> None:
    row_id = host.saved("inside")
    _clip(host.user / "secret.mp4")
    host.ledger.record_saved(row_id, file="../user/secret.mp4", size=1, sha256="f" * 64, video={})

    assert host.ask("GET", f"/wan27/posters/{row_id}").status_code == 404
    assert host.get(f"/wan27/tasks/{row_id}")["file"] is None


def test_thumbnail_of_a_broken_video_is_not_found(host: Host) -> None:
    row_id = host.saved("broken")
    (host.output / "wan27" / "a.mp4").write_bytes(b"no video")

    assert host.ask("GET", f"/wan27/posters/{row_id}").status_code == 404


def test_read_routes_leak_no_key_path_or_signed_url(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\nbase_url = "http://127.0.0.1:9"\n')
    row_id = host.saved("done")
    failed = host.task("failed")
    host.ledger.fail(failed, f"could not fetch {SIGNED} into {host.output}/wan27/x.mp4", billed=True)

    paths = ["/wan27/status", "/wan27/tasks", f"/wan27/tasks/{row_id}", f"/wan27/tasks/{failed}", "/wan27/balance"]
    sent = "".join(host.ask("GET", path).text for path in paths)

    assert KEY not in sent
    assert "signature" not in sent
    assert str(host.output) not in sent
    assert str(host.user) not in sent
    assert "https://bucket.example/…" in sent, "the host stays: it helps"


def test_read_routes_refuse_pages_of_other_sites(host: Host) -> None:
    for path in ("/wan27/status", "/wan27/tasks", "/wan27/balance"):
        answer = host.ask("GET", path, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403


def test_key_last4_is_shown_on_this_machine_only(host: Host) -> None:
    (host.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\n')

    here = host.get("/wan27/status")["key"]
    proxied = host.get("/wan27/status", headers={"X-Forwarded-For": "203.0.113.5"})["key"]
    rebound = host.get("/wan27/status", headers={"Host": "evil.example"})["key"]

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
def test_write_routes_are_for_our_own_page_on_this_machine(case: str, method: str, path: str, host: Host) -> None:
    headers = {name: value for name, value in (host.own_page | FOREIGN[case]).items() if value is not None}

    answer = host.ask(method, path, headers=headers, content=json.dumps({"key": KEY}))

    assert answer.status_code == 403
    assert not (host.user / "config.toml").exists()


@pytest.mark.parametrize(
    ("peer", "here"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.168.1.5", False), (None, False)],
)
def test_is_local_goes_by_the_address(peer: str | None, here: bool) -> None:
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: (peer, 5) if peer and name == "peername" else default
    headers = {"Host": "127.0.0.1:8188", "Origin": "http://127.0.0.1:8188", "Content-Type": "application/json"}
    request = make_mocked_request("PUT", "/wan27/key", headers=headers, transport=transport)

    assert is_local(request) is here
    assert (refusal(request) is None) is here


def test_key_is_stored_used_and_never_sent_back(host: Host) -> None:
    answer = host.write("PUT", "/wan27/key", {"key": f"  {KEY}\n"})

    assert answer.status_code == 200
    assert answer.json()["last4"] == KEY[-4:]
    assert KEY not in answer.text
    assert host.events == ["wan27.status"]
    assert services.current_settings().novita.api_key == KEY
    assert stat.S_IMODE((host.user / "config.toml").stat().st_mode) == 0o600
    assert not host.get("/wan27/status")["connection"]["sandbox"]

    answer = host.write("DELETE", "/wan27/key")

    assert answer.json()["present"] is False
    assert host.get("/wan27/status")["connection"]["sandbox"]


def test_key_stored_resumes_unfinished_tasks(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    monkeypatch.setattr(services, "resume_unfinished", lambda: keys.append(services.current_settings().novita.api_key))

    host.write("PUT", "/wan27/key", {"key": "short"})
    host.write("PUT", "/wan27/key", {"key": KEY})

    assert keys == [KEY]


@pytest.mark.parametrize("body", [{"key": "short"}, {"key": 5}, {}, ["key"], "text"])
def test_key_refuses_what_is_not_a_key(body: Any, host: Host) -> None:
    answer = host.write("PUT", "/wan27/key", body)

    assert answer.status_code == 409
    assert answer.json()["error"]
    assert not (host.user / "config.toml").exists()


def test_key_of_the_environment_cannot_be_changed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVITA_API_KEY", KEY)

    put = host.write("PUT", "/wan27/key", {"key": "sk-another-key-0123"})
    delete = host.write("DELETE", "/wan27/key")
    key = host.get("/wan27/status")["key"]

    assert (put.status_code, delete.status_code) == (409, 409)
    assert "NOVITA_API_KEY" in put.json()["error"]
    assert key["source"] == "environment"
    assert not key["can_change"]


@pytest.fixture
def fetching(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The task ids that the runner was asked to wait for; task-2 cannot be fetched."""
    asked: list[Any] = []

    async def wait(task_id: str, **_: Any) -> None:
        asked.append(task_id)
        if task_id == "task-2":
            raise DownloadError(f"The video is gone from {SIGNED}.")

    async def get_services() -> Any:
        return SimpleNamespace(runner=SimpleNamespace(wait=wait), connection=object())

    monkeypatch.setattr(services, "get_services", get_services)
    return asked


def test_fetch_starts_or_says_why_not(host: Host, fetching: list[Any]) -> None:
    host.task("there")
    host.task("gone")

    good, bad, none = (host.write("POST", f"/wan27/tasks/{n}/fetch") for n in (1, 2, 3))

    assert good.status_code == 202
    assert bad.status_code == 409
    assert bad.json()["error"] == "The video is gone from https://bucket.example/…"
    assert none.status_code == 409
    assert fetching == ["task-1", "task-2"]


def test_balance_is_refused_in_the_sandbox(host: Host) -> None:
    answer = host.ask("GET", "/wan27/balance")

    assert answer.status_code == 409
    assert "sandbox" in answer.json()["error"].lower()
