from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from nodes.core.temporary import remove_leftovers

ROOT = Path(__file__).resolve().parents[2]


def request(method: str, url: str, **arguments: Any) -> httpx.Response:
    headers = {"Authorization": "Bearer k"}
    return httpx.request(method, url, headers=headers, timeout=60, trust_env=False, **arguments)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nodes.sandbox", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_main_prints_its_url_and_runs_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    process = start("--state-dir", str(tmp_path / "state"), "--task-seconds", "0", "--fps", "2")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert request("GET", f"{url}/openapi/v1/billing/balance/detail").status_code == 200
    assert (tmp_path / "state" / "tasks").is_dir()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    assert list((tmp_path / "state" / "owners").iterdir()) == []


def test_main_state_survives_a_kill(tmp_path: Path) -> None:
    process = start("--state-dir", str(tmp_path), "--task-seconds", "1000")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    body = {"image_url": "data:image/png;base64,iVBORw0KGgo="}
    answer = request("POST", f"{url}/v3/async/wan2.7-i2v", json=body)
    process.kill()
    process.communicate()
    second = start("--state-dir", str(tmp_path))
    assert second.stdout is not None
    url = second.stdout.readline().strip()
    query = {"task_id": answer.json()["task_id"]}
    assert request("GET", f"{url}/v3/async/task-result", params=query).status_code == 200
    second.terminate()
    second.communicate(timeout=60)


def test_main_killed_leaves_a_folder_that_is_deleted_once_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its console window is closed on Windows. The folder of a sandbox that runs for days stays."""
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    process = start()
    assert process.stdout is not None and process.stdout.readline()
    [folder] = tmp_path.iterdir()
    os.utime(folder, (1, 1))
    remove_leftovers()
    assert (folder / "uploads").is_dir()
    process.kill()
    process.communicate()
    os.utime(folder, (1, 1))
    remove_leftovers()
    assert not folder.exists()


def test_main_refuses_wrong_options() -> None:
    process = start("--fps", "100")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "1 to 60" in err


def test_main_runs_by_its_path(tmp_path: Path) -> None:
    """The Python of ComfyUI's portable build looks for modules in ComfyUI, and not in the current folder."""
    (tmp_path / "nodes.py").write_text("raise AssertionError('this is ComfyUI')")
    for path in (ROOT / "nodes" / "sandbox", ROOT / "nodes" / "sandbox" / "__main__.py"):
        done = subprocess.run(
            [sys.executable, str(path), "--help"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 and "--state-dir" in done.stdout, done.stderr
        assert done.stdout.startswith("usage: python nodes/sandbox [")
