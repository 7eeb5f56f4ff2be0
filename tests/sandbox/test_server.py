from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from nodes.sandbox import Sandbox, SandboxOptions

ROOT = Path(__file__).resolve().parents[2]


_others: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _leave_others_alone() -> None:
    """Ignore the sandboxes that fixtures of other tests keep for the whole session."""
    _others.clear()
    _others.update(threading.enumerate())


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=60, trust_env=False)


def running() -> list[str]:
    mine = (thread for thread in threading.enumerate() if thread not in _others)
    return [thread.name for thread in mine if thread.name.startswith("wan27-sandbox")]


def test_sandbox_starts_and_stops(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    assert sandbox.base_url == ""
    url = sandbox.start()
    assert url == sandbox.start() == sandbox.base_url
    assert url.startswith("http://127.0.0.1:")
    assert get(f"{url}/nothing").status_code == 404
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("wan27-sandbox"))
    sandbox.stop()
    sandbox.stop()
    assert running() == []
    with pytest.raises(httpx.ConnectError):
        get(f"{url}/nothing")
    assert get(f"{sandbox.start()}/nothing").status_code == 404
    sandbox.stop()


def test_sandbox_started_by_several_threads_runs_once(tmp_path: Path) -> None:
    sandbox, urls = Sandbox(tmp_path), []
    threads = [threading.Thread(target=lambda: urls.append(sandbox.start())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 4
    assert len(set(urls)) == 1
    sandbox.stop()
    assert running() == []


def test_sandbox_port_can_be_chosen(tmp_path: Path) -> None:
    first = Sandbox(tmp_path)
    port = int(first.start().rpartition(":")[2])
    with pytest.raises(OSError, match=str(port)):
        Sandbox(tmp_path, port=port).start()
    first.stop()
    again = Sandbox(tmp_path, port=port)
    assert again.start() == f"http://127.0.0.1:{port}"
    again.stop()
    assert running() == []


def test_sandbox_refuses_an_unwritable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        Sandbox(tmp_path / "file").start()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "example.com", "::"])
def test_sandbox_listens_on_loopback_only(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        Sandbox(tmp_path, host=host)


@pytest.mark.parametrize("wrong", [{"fps": 0}, {"fps": 61}, {"task_seconds": -1}, {"queue_seconds": -1}])
def test_options_outside_their_ranges_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"fps|negative"):
        SandboxOptions(**wrong)


def test_sandbox_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, nodes.sandbox; print([m for m in ('aiohttp', 'av', 'PIL', 'numpy', 'httpx') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_sandbox_that_was_not_stopped_does_not_keep_the_process_alive(tmp_path: Path) -> None:
    code = "import sys; from nodes.sandbox import Sandbox; print(Sandbox(sys.argv[1]).start())"
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert shown.stdout.startswith("http://")
    assert shown.stderr == ""
