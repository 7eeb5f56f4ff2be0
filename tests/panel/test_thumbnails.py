from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from nodes.panel import thumbnails
from tests.media_files import write_clip
from tests.panel.conftest import Host


def test_task_saved_has_a_file_for_comfyuis_view_and_a_thumbnail(host: Host) -> None:
    record_id = host.saved("done")

    task = host.get(f"/wan27/tasks/{record_id}")
    thumbnail = host.ask("GET", f"/wan27/posters/{record_id}?v={task['poster']}")

    assert (task["state"], task["group"]) == ("saved", "saved")
    assert task["file"] == {"filename": "a.mp4", "subfolder": "wan27", "type": "output"}
    assert thumbnail.headers["Content-Type"] == "image/jpeg"
    assert thumbnail.content[:2] == b"\xff\xd8"
    assert len(thumbnail.content) < 20_000
    assert len(list((host.user / "posters").iterdir())) == 1


def test_thumbnail_is_refused_for_a_file_outside_the_output_folder(host: Host) -> None:
    record_id = host.saved("inside")
    write_clip(host.user / "secret.mp4", size=(640, 480), frames=8, fps=8)
    outside = replace(host.ledger.get(record_id), file="../user/secret.mp4", file_size=1, file_sha256="f" * 64)
    host.ledger.record_saved(outside)

    assert host.ask("GET", f"/wan27/posters/{record_id}").status_code == 404
    assert host.get(f"/wan27/tasks/{record_id}")["file"] is None


def test_thumbnail_of_a_broken_video_is_not_found(host: Host) -> None:
    record_id = host.saved("broken")
    (host.output / "wan27" / "a.mp4").write_bytes(b"no video")

    assert host.ask("GET", f"/wan27/posters/{record_id}").status_code == 404


def test_thumbnails_being_made_keep_no_other_route_waiting(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    record_id = host.saved("done")
    began, go_on, made = threading.Event(), threading.Event(), []

    def make(*paths: Any) -> None:
        began.set()
        go_on.wait(60)
        made.append(paths)

    monkeypatch.setattr(thumbnails, "_make", make)
    with ThreadPoolExecutor(33) as tabs:  # more than asyncio has threads
        for _ in range(33):
            tabs.submit(host.ask, "GET", f"/wan27/posters/{record_id}")
        assert began.wait(60)

        tasks = host.get("/wan27/tasks")["tasks"]

        assert (len(tasks), made) == (1, [])
        go_on.set()
