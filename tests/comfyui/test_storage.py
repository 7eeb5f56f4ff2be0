"""Storages in a real ComfyUI: the route that serves files, and no storage leaks its secrets."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from nodes.storage import StoredUrl
from nodes.storage.comfyui import FOLDER, ROUTE, ComfyStorage
from tests.comfyui.graphs import SMALL, keep, kept, pair, upload_audio, upload_image
from tests.host.comfy import REPO, ComfyUI, Graph, Run, free_port
from tests.host.fixtures import HELPERS, PLENTY, QUICK
from tests.host.s3 import SECRET as S3_SECRET
from tests.host.s3 import swift
from tests.media_files import media_file, photo, png, wav_bytes
from tests.service import KEY, Service
from tests.storage.servers import Host, in_a_thread

BEFORE = b"\x89PNG put before the start"
UPLOAD_KEY, TOKEN, WRONG = "up-key-SECRET-73519", "form-token-SECRET-8642", "wrong-s3-SECRET-9753"


class Configured:
    """A ComfyUI whose config.toml the test writes; it is read again whenever it changes."""

    def __init__(self, comfy: ComfyUI, service: Service) -> None:
        self.comfy, self.service = comfy, service
        self.user = comfy.base / "user" / "__wan27"
        self._made = 0
        self.put_before: list[StoredUrl] = []

    def put(self, hours: float) -> StoredUrl:
        """Store a file as another process does, such as the ComfyUI that ran here before."""
        storage = ComfyStorage({"public_url": self.comfy.url, "expires_hours": hours}, self.user)
        return asyncio.run(storage.put(media_file(self.comfy.base, "before.png", BEFORE)))

    def configure(self, kind: str, **values: Any) -> None:
        self.user.mkdir(parents=True, exist_ok=True)
        lines = ['connection = "novita"', "[novita]", f'api_key = "{KEY}"', f'base_url = "{self.service.url}"']
        lines += ["[storage]", f'kind = "{kind}"', *([f"[storage.{kind}]"] if values else [])]
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
        (self.user / "config.toml").write_text("\n".join(lines) + "\n")

    def give_out(self, **values: Any) -> None:
        self.configure("comfyui", public_url=self.comfy.url, **values)

    def run(self, *, submit: bool = False) -> tuple[Run, Graph, str]:
        """Upload a new image and, with `submit`, make a video of it; return also the node that keeps the URL."""
        self._made += 1
        graph = Graph()
        image = self.comfy.upload("given.png", png(photo(320, 320, seed=1000 + self._made)))
        node = upload_image(graph, image)
        kept_node = keep(graph, (node, 0))
        if submit:
            pair(graph, image_url=(node, 0), prompt=f"a lake, {self._made}", **SMALL)
        return self.comfy.run(graph), graph, kept_node

    def url(self) -> str:
        run, _, node = self.run()
        (url,) = kept(run, node)
        return str(url)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, shared_service: Service) -> Iterator[Configured]:
    base = tmp_path_factory.mktemp("comfyui")
    comfy = ComfyUI(base, env={**QUICK, **PLENTY}, custom_nodes=[HELPERS], port=free_port())
    comfy.port = comfy.wanted_port or 0
    configured = Configured(comfy, shared_service)
    configured.put_before = [configured.put(hours) for hours in (24, 1 / 3600)]
    with comfy:
        yield configured


@pytest.fixture
def configured(shared: Configured, service: Service) -> Configured:
    return shared


def fetch(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.request(method, url, headers=named, timeout=30, trust_env=False)


def test_route_serves_files_to_the_service(configured: Configured, service: Service) -> None:
    configured.give_out()
    run, graph, node = configured.run(submit=True)
    assert run.error is None, run.error
    (url,) = kept(run, node)
    assert url.startswith(f"{configured.comfy.url}{ROUTE}") and url.endswith(".png")
    assert len(service.posts()) == 1
    assert len(run.files(str(max(int(name) for name in graph.prompt)))) == 1  # the video of the Wait node


def test_route_answers_with_type_length_and_ranges(configured: Configured) -> None:
    configured.give_out()
    url = configured.url()
    whole = fetch(url)
    assert whole.status_code == 200 and whole.content.startswith(b"\x89PNG")
    size = len(whole.content)
    for answer in (whole, fetch(url, "HEAD"), fetch(url.replace(ROUTE, f"/api{ROUTE}"))):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-length"] == str(size)
        assert answer.headers["accept-ranges"] == "bytes"
        # By default ComfyUI lets every proxy keep an image for a day, even after its URL has expired.
        assert "no-store" in answer.headers["cache-control"] and "no-transform" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert fetch(url, "HEAD").content == b""
    for asked, start, end in (("bytes=0-9", 0, 10), ("bytes=100-", 100, size), ("bytes=-7", size - 7, size)):
        part = fetch(url, range=asked)
        assert part.status_code == 206 and part.content == whole.content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert fetch(url, range=f"bytes={size}-").status_code == 416
    for method in ("POST", "PUT", "DELETE"):
        assert fetch(url, method).status_code == 405


def test_route_serves_audio_with_its_own_type(configured: Configured) -> None:
    configured.give_out()
    graph = Graph()
    node = upload_audio(graph, configured.comfy.upload("three.wav", wav_bytes(3, rate=16_000)))
    kept_node = keep(graph, (node, 0))
    (url,) = kept(configured.comfy.run(graph), kept_node)
    assert fetch(url).headers["content-type"] == "audio/wav"


def test_route_serves_nothing_else(configured: Configured) -> None:
    """Answer 404 to traversal, guesses, the folder itself, other files in it, links, and expired URLs."""
    configured.give_out()
    url = configured.url()
    name, folder = url.rpartition("/")[2], configured.user / FOLDER
    end, rest = name.split("-")
    ended = f"{int(time.time()) - 1}-{rest}"
    (folder / ended).write_bytes(b"expired content")
    (folder / "notes.txt").write_text("private notes")
    (folder / f"{end}-{'a' * 48}.png").symlink_to(configured.user / "config.toml")
    paths = [
        ended,
        "notes.txt",
        f"{end}-{'a' * 48}.png",
        f"{end}-{'0' * 48}.png",
        f"{int(end) + 1}-{rest}",
        f"{int(end) - 1}-{rest}",
        "../config.toml",
        "..%2fconfig.toml",
        "..%5cconfig.toml",
        "%2e%2e/config.toml",
        "%2e%2e%2fledger.sqlite3",
        f"..%2f{FOLDER}%2f{name}",
        f"{name}%00",
        f"{name}%0a",
        f"{name}/",
        f"./{name}x",
        f"{name}.part",
        f"%2Fetc%2Fpasswd/{name}",
        "",
        ".",
        "*",
    ]
    answers = {path: _raw_get(configured.comfy.port, f"{ROUTE}{path}") for path in paths}
    answers |= {f"/api {path}": _raw_get(configured.comfy.port, f"/api{ROUTE}{path}") for path in paths}
    assert {path: status for path, (status, _) in answers.items() if status != 404} == {}
    for _, body in answers.values():
        assert b"expired content" not in body and b"private" not in body and KEY.encode() not in body
    assert _raw_get(configured.comfy.port, f"{ROUTE}{name}")[0] == 200


def _raw_get(port: int, path: str) -> tuple[int, bytes]:
    """GET a path that no client library has normalised."""
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_url_expires(configured: Configured) -> None:
    configured.give_out(expires_hours=3 / 3600)
    url = configured.url()
    deadline = time.monotonic() + 60
    while (status := fetch(url).status_code) == 200 and time.monotonic() < deadline:
        pass
    assert status == 404


def test_url_survives_a_restart(configured: Configured) -> None:
    """A file that was stored before ComfyUI started is served, and one that has expired is deleted."""
    live, ended = configured.put_before
    assert fetch(live.url).content == BEFORE
    assert fetch(ended.url).status_code == 404
    assert not (configured.user / FOLDER / ended.url.rpartition("/")[2]).exists()


def test_check_command_finds_comfyui_from_outside(configured: Configured) -> None:
    configured.give_out()
    done = subprocess.run(
        [sys.executable, "-m", "nodes.check", str(configured.comfy.base)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The comfyui storage took a file and returned it byte for byte" in done.stdout
    assert "The key for Novita AI is valid" in done.stdout and KEY not in done.stdout + done.stderr


def test_unconfigured_storage_stops_uploads_only(configured: Configured) -> None:
    """Only uploads need it: their error names the setting."""
    configured.configure("s3", endpoint="https://s3.invalid")
    run, _, _ = configured.run()
    assert run.error and "bucket under [storage.s3] (or WAN27_STORAGE_S3_BUCKET)" in run.error.message
    graph = Graph()
    made = pair(graph, image_url=f"{configured.service.url}/nothing.png", prompt="no upload", **SMALL)
    other = configured.comfy.run(graph)
    assert other.error is None or other.error.node == made.wait
    assert other.error is None or "storage" not in other.error.message


def test_upload_is_interrupted(configured: Configured) -> None:
    """The server accepts the connection and never answers. The next prompt runs normally."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/up"
        configured.configure("http", method="POST", url=url, response="text")
        graph = Graph()
        node = upload_image(graph, configured.comfy.upload("slow.png", png(photo(320, 320, seed=77))))
        keep(graph, (node, 0))
        run = configured.comfy.queue(graph).wait_for(lambda run: bool(run.texts_of(node)))
        configured.comfy.interrupt()
        run.wait()
    assert run.interrupted and run.error is None
    configured.give_out()
    assert fetch(configured.url()).status_code == 200


REFUSED = {"at": "submit", "kind": "error", "status": 400, "reason": "INVALID_IMAGE_FORMAT", "message": "not a URL"}
NOT_FETCHED = {"at": "task", "kind": "fail", "reason": "InvalidParameter.DataInspection: Unable to download the media"}


@pytest.mark.parametrize("fault", [REFUSED, NOT_FETCHED], ids=["at once", "by the task"])
def test_inline_image_that_the_service_refuses_names_the_other_storages(
    fault: dict[str, Any], configured: Configured, service: Service
) -> None:
    """The error says what happened and which storages exist; the log said before that the image is sent inline."""
    configured.configure("auto")
    service.faults(fault)
    run, _, _ = configured.run(submit=True)
    assert run.error and "sent inside the request" in run.error.message
    for text in ('"s3"', '"http"', '"comfyui"', "README"):
        assert text in run.error.message
    assert "does not document" in configured.comfy.log


def test_secrets_of_a_storage_appear_nowhere(configured: Configured, tmp_path: Path) -> None:
    """Upload through http and s3 with good and bad settings, then search every file and answer of ComfyUI."""
    echo = web.Response(status=500, text=f"you sent {UPLOAD_KEY} and {TOKEN}")
    errors, runs = [], []
    secrets = [UPLOAD_KEY, TOKEN, WRONG, S3_SECRET, KEY]
    good = web.json_response({"url": "http://127.0.0.1:9/x.png"})
    with in_a_thread(Host(good)) as host, in_a_thread(Host(echo)) as bad, swift(tmp_path) as server:
        form = {"method": "POST", "form": {"token": TOKEN}, "headers": {"Authorization": f"Bearer {UPLOAD_KEY}"}}
        for values in (
            {"url": f"{host.url}/up?key={TOKEN}", "response": "json:url"},
            {"url": f"{host.url}/up?key={TOKEN}", "response": "json:other"},
            {"url": f"{bad.url}/up?key={TOKEN}", "response": "text"},
            {"url": f"http://127.0.0.1:9/up?key={TOKEN}", "response": "text"},
        ):
            configured.configure("http", **form, **values)
            runs.append(configured.run(submit=values["response"] == "json:url")[0])
        assert host.seen[0].headers["authorization"] == f"Bearer {UPLOAD_KEY}"
        assert host.seen[0].form == {"token": TOKEN}
        for changed in ({}, {"secret_access_key": WRONG}, {"bucket": "not-there"}):
            configured.configure("s3", **server.options(**changed))
            runs.append(configured.run(submit=not changed)[0])
    errors = [run.error.message if run.error else "" for run in runs]
    for error, said in zip(errors[1:4], ("response under", "500", "did not reach"), strict=True):
        assert said in error
    assert "secret_access_key under [storage.s3]" in errors[5] and "NoSuchBucket" in errors[6]

    comfy = configured.comfy
    told = {"history": json.dumps(comfy.get_json("/history")), "status": comfy.request("GET", "/wan27/status").text}
    told |= {f"error of run {n}": f"{run.error} {run.messages} {run.texts}" for n, run in enumerate(runs)}
    told["ledger"] = _whole_ledger(configured.user / "ledger.sqlite3")
    for path in comfy.base.rglob("*"):
        if path.is_file() and not path.is_symlink() and "custom_nodes" not in path.parts and path.name != "config.toml":
            told[str(path)] = path.read_bytes().decode("latin-1")
    assert any(name.endswith("comfyui.log") for name in told) and any(name.endswith("ledger.sqlite3") for name in told)
    assert {name: secret for name, text in told.items() for secret in secrets if secret in text} == {}


def _whole_ledger(path: Path) -> str:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
        return "\n".join(ledger.iterdump())
