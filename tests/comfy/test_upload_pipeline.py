from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nodes.comfy import node_cache, upload_pipeline
from nodes.core.errors import StorageError
from nodes.ledger import Ledger
from nodes.media.files import MediaError, MediaFile, describe, new_path
from nodes.storage.base import StoredUrl

HOUR = 3600


class Place:
    """A storage that keeps what it gets in memory."""

    def __init__(self, name: str = "place", life: float | None = 24 * HOUR) -> None:
        self.name, self.privacy_notice, self.life = name, f"Files go to {name}.", life
        self.kept: list[bytes] = []
        self.paths: list[Path] = []
        self.at_once = self.most_at_once = 0
        self.error: Exception | None = None

    async def put(self, file: MediaFile, *, on_progress: Callable[[int, int], None] | None = None) -> StoredUrl:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if self.error:
            raise self.error
        self.kept.append(file.path.read_bytes())
        self.paths.append(file.path)
        if on_progress:
            on_progress(file.size, file.size)
        expires_at = None if self.life is None else time.time() + self.life
        return StoredUrl(f"https://{self.name}/{len(self.kept)}.{file.extension}", expires_at)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def services(place: Place, shown: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    services = SimpleNamespace(storage=place, ledger=ledger, sandbox_note="")

    async def get_services() -> Any:
        return services

    monkeypatch.setattr("nodes.services.get_services", get_services)

    def show(text: str, *, node_id: str | None) -> None:
        assert node_id == "7"
        shown.append(text)

    monkeypatch.setattr(upload_pipeline, "show_text", show)
    monkeypatch.setattr(upload_pipeline, "executing_node_id", lambda: "7")
    monkeypatch.setattr(upload_pipeline, "_soonest", {})
    for state in ("_checks", "_generations"):
        monkeypatch.setattr(node_cache, state, {})
    yield services
    ledger.close()


def maker(content: bytes, **facts: Any) -> upload_pipeline.Encode:
    def encode(job: Any, directory: Path) -> MediaFile:
        path = new_path(directory, "png")
        path.write_bytes(content)
        return describe(path, **facts)

    return encode


def send(*encoders: upload_pipeline.Encode) -> list[str]:
    return [url for url, _ in asyncio.run(upload_pipeline.encode_and_send(encoders))]


def generation() -> int:
    return node_cache.generation("upload 7")


def test_each_file_gets_its_url_in_order(place: Place) -> None:
    urls = send(maker(b"a"), maker(b"b"), maker(b"c"))
    assert [place.kept[int(url[-5]) - 1] for url in urls] == [b"a", b"b", b"c"]
    assert place.most_at_once == 3


def test_nothing_is_left_over(place: Place) -> None:
    send(maker(b"a"))
    assert not place.paths[0].exists()
    assert not place.paths[0].parent.exists()


def test_a_file_of_the_user_s_own_stays(tmp_path: Path, place: Place) -> None:
    path = tmp_path / "mine.mp4"
    path.write_bytes(b"mine")
    send(lambda job, directory: describe(path, seconds=3.0))
    assert path.read_bytes() == b"mine"
    assert place.kept == [b"mine"]


def test_one_bad_image_means_that_nothing_is_sent(place: Place) -> None:
    def bad(job: Any, directory: Path) -> MediaFile:
        raise MediaError("Image 2 holds NaN")

    with pytest.raises(MediaError, match="Image 2"):
        send(maker(b"a"), bad, maker(b"c"))
    assert place.kept == []


def test_what_is_still_at_work_when_another_image_is_bad_leaves_nothing(place: Place) -> None:
    at_work, failed, folders = threading.Event(), threading.Event(), []

    def slow(job: Any, directory: Path) -> MediaFile:
        folders.append(directory)
        at_work.set()
        failed.wait(10)
        while directory.exists():  # cleaned up behind its back
            time.sleep(0.01)
        return maker(b"late")(job, directory)

    def bad(job: Any, directory: Path) -> MediaFile:
        at_work.wait(10)
        failed.set()
        raise MediaError("bad")

    with pytest.raises(MediaError, match="bad"):
        send(slow, bad)  # ends when the threads have
    assert not folders[0].exists()


def test_an_error_of_the_storage_is_told(place: Place) -> None:
    place.error = StorageError("the bucket is gone")
    with pytest.raises(StorageError, match="bucket"):
        send(maker(b"a"), maker(b"b"))


def test_the_same_content_is_sent_once(place: Place, services: Any) -> None:
    first = send(maker(b"a"), maker(b"a"), maker(b"b"))
    assert sorted(place.kept) == [b"a", b"b"]
    assert first[0] == first[1] != first[2]
    assert send(maker(b"b"), maker(b"a")) == [first[2], first[0]]
    assert len(place.kept) == 2


def test_nodes_beside_each_other_send_the_same_content_once(place: Place) -> None:
    async def both() -> list[Any]:
        return await asyncio.gather(*(upload_pipeline.encode_and_send([maker(b"a")]) for _ in range(3)))

    asyncio.run(both())
    assert place.kept == [b"a"]


@pytest.mark.parametrize(("life", "puts"), [(None, 1), (24 * HOUR, 1), (1900, 1), (1700, 2), (0, 2)])
def test_a_url_that_ends_soon_is_not_used_again(life: float | None, puts: int, place: Place) -> None:
    place.life = life
    send(maker(b"a"))
    send(maker(b"a"))
    assert len(place.kept) == puts


def test_another_storage_gets_its_own_copy(place: Place, services: Any) -> None:
    send(maker(b"a"))
    services.storage = other = Place("other")
    assert send(maker(b"a")) == ["https://other/1.png"]
    assert other.kept == [b"a"]


def test_the_length_of_a_clip_can_be_found_by_its_url(services: Any) -> None:
    (url,) = send(maker(b"clip", seconds=3.5))
    upload = services.ledger.uploads.by_url(url)
    assert (upload.seconds, upload.storage) == (3.5, "place")


def test_the_node_runs_again_before_a_url_ends(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    send(maker(b"a"))
    before = generation()
    assert generation() == before
    start = time.time()
    for hours, again in ((20, False), (23.4, False), (23.6, True)):
        monkeypatch.setattr(time, "time", lambda hours=hours: start + hours * HOUR)
        assert (generation() != before) is again


def test_a_url_without_an_end_never_runs_the_node_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.life = None
    send(maker(b"a"))
    before, start = generation(), time.time()
    monkeypatch.setattr(time, "time", lambda: start + 10_000 * HOUR)
    assert generation() == before


def test_the_first_of_several_urls_to_end_counts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list input has ComfyUI run the node several times in one prompt."""
    monkeypatch.setattr(upload_pipeline, "executing_prompt_id", lambda: "prompt")
    place.life = 2 * HOUR
    send(maker(b"a"))
    place.life = 24 * HOUR
    send(maker(b"b"))
    before, start = generation(), time.time()
    monkeypatch.setattr(time, "time", lambda: start + 1.6 * HOUR)
    assert generation() != before


def test_what_was_changed_is_shown(shown: list[str]) -> None:
    send(maker(b"a", notes=("Image 1: scaled.",)), maker(b"b", notes=("Image 2: flattened.",)))
    assert shown == ["Files go to place.\nImage 1: scaled.\nImage 2: flattened.\n2 images, 0.0 MB"]


def test_as_many_are_encoded_at_a_time_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_pipeline.os, "cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=30)
    running: list[int] = []
    most: list[int] = []

    def encode(job: Any, directory: Path) -> MediaFile:
        running.append(1)
        most.append(len(running))
        both.wait()  # passes only if two are here at the same time
        running.pop()
        return maker(b"a")(job, directory)

    send(*[encode] * 6)
    assert max(most) == 2
