"""Files become URLs: each content once, nothing left over, and the node runs again before a URL expires."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes.comfy import upload_pipeline
from nodes.comfy.node_cache import NodeCache
from nodes.comfy.upload_pipeline import Encode, UploadPipeline
from nodes.core.errors import BudgetError, StorageError
from nodes.ledger import Ledger
from nodes.media.files import MediaError, MediaFile, describe, new_path
from nodes.storage import StoredUrl
from tests.ledger.helpers import claimed, wanted

HOUR = 3600


class MemoryStorage:
    """A storage that keeps what it gets in memory."""

    def __init__(self, name: str = "memory", life: float | None = 24 * HOUR) -> None:
        self.name, self.privacy_notice, self.life = name, f"Files go to {name}.", life
        self.public_links = False
        self.kept: list[bytes] = []
        self.paths: list[Path] = []
        self.at_once = self.most_at_once = 0
        self.expected_at_once = 1
        self.error: Exception | None = None

    async def put(self, file: MediaFile, *, on_progress: Callable[[int, int], None] | None = None) -> StoredUrl:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        while self.most_at_once < self.expected_at_once:
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


class Node:
    """An upload node with id 7, in a process of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.storage = ledger, MemoryStorage()
        self.shown: list[str] = []
        self.is_poor, self.balance_checks = False, 0
        self.prompt_id = ""
        self.hours_later = 0.0
        self.pipeline = UploadPipeline(NodeCache(), clock=lambda: time.time() + self.hours_later * HOUR)

    async def check_balance(self) -> None:
        self.balance_checks += 1
        if self.is_poor:
            raise BudgetError("The balance is too low.")

    async def upload(self, *encoders: Encode, note: str = "") -> list[str]:
        uploaded = await self.pipeline.upload(
            encoders, storage=self.storage, ledger=self.ledger, note=note, check_balance=self.check_balance
        )
        return [url for url, _ in uploaded]

    def run(self, *encoders: Encode, note: str = "") -> list[str]:
        return asyncio.run(self.upload(*encoders, note=note))

    def generation(self) -> int:
        return self.pipeline.generation()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    made = Node(Ledger(tmp_path / "ledger.sqlite3"))

    def show(text: str, *, node_id: str) -> None:
        assert node_id == "7"
        made.shown.append(text)

    monkeypatch.setattr(upload_pipeline, "show_text", show)
    monkeypatch.setattr(upload_pipeline, "executing", lambda: (made.prompt_id, "7"))
    yield made
    made.ledger.close()


@pytest.fixture
def storage(node: Node) -> MemoryStorage:
    return node.storage


def maker(content: bytes, **facts: Any) -> Encode:
    def encode(job: Any, directory: Path) -> MediaFile:
        path = new_path(directory, "png")
        path.write_bytes(content)
        return describe(path, **facts)

    return encode


def test_upload_returns_the_url_of_each_file_in_order(node: Node, storage: MemoryStorage) -> None:
    storage.expected_at_once = 3
    urls = node.run(maker(b"a"), maker(b"b"), maker(b"c"))
    assert [storage.kept[int(url[-5]) - 1] for url in urls] == [b"a", b"b", b"c"]


def test_upload_leaves_no_file_over(node: Node, storage: MemoryStorage) -> None:
    node.run(maker(b"a"))
    assert not storage.paths[0].exists()
    assert not storage.paths[0].parent.exists()


def test_upload_keeps_a_file_of_the_user(node: Node, storage: MemoryStorage, tmp_path: Path) -> None:
    path = tmp_path / "mine.mp4"
    path.write_bytes(b"mine")
    node.run(lambda job, directory: describe(path, seconds=3.0))
    assert path.read_bytes() == b"mine"
    assert storage.kept == [b"mine"]


def test_upload_sends_nothing_if_one_image_is_bad(node: Node, storage: MemoryStorage) -> None:
    def bad(job: Any, directory: Path) -> MediaFile:
        raise MediaError("Image 2 holds NaN")

    with pytest.raises(MediaError, match="Image 2"):
        node.run(maker(b"a"), bad, maker(b"c"))
    assert storage.kept == []


def test_upload_leaves_no_file_over_if_one_image_is_bad_while_another_is_encoded(node: Node) -> None:
    at_work, failed, folders = threading.Event(), threading.Event(), []

    def slow(job: Any, directory: Path) -> MediaFile:
        folders.append(directory)
        at_work.set()
        failed.wait(60)
        while directory.exists():  # removed while the encoder is still running
            time.sleep(0.01)
        return maker(b"late")(job, directory)

    def bad(job: Any, directory: Path) -> MediaFile:
        at_work.wait(60)
        failed.set()
        raise MediaError("bad")

    with pytest.raises(MediaError, match="bad"):
        node.run(slow, bad)  # returns after the threads have ended
    assert not folders[0].exists()


def test_upload_raises_the_error_of_the_storage(node: Node, storage: MemoryStorage) -> None:
    storage.error = StorageError("the bucket is gone")
    with pytest.raises(StorageError, match="bucket"):
        node.run(maker(b"a"), maker(b"b"))


def test_upload_sends_nothing_new_if_the_balance_is_too_low(node: Node, storage: MemoryStorage) -> None:
    node.is_poor = True
    with pytest.raises(BudgetError, match="too low"):
        node.run(maker(b"a"), maker(b"b"))
    assert storage.kept == []
    assert node.balance_checks == 1, "once for the batch"


def test_upload_of_a_video_that_was_paid_for_does_not_need_the_balance(node: Node, storage: MemoryStorage) -> None:
    """Its URL has expired, and a finished video must never be locked out by a low balance."""
    content = hashlib.sha256(b"a").hexdigest()
    claimed(node.ledger, wanted(request={"image_url": f"sha256:{content}"}))
    node.is_poor = True

    assert len(node.run(maker(b"a"))) == 1
    assert (storage.kept, node.balance_checks) == ([b"a"], 0)


def test_upload_sends_the_same_content_once(node: Node, storage: MemoryStorage) -> None:
    first = node.run(maker(b"a"), maker(b"a"), maker(b"b"))
    assert sorted(storage.kept) == [b"a", b"b"]
    assert first[0] == first[1] != first[2]
    assert node.run(maker(b"b"), maker(b"a")) == [first[2], first[0]]
    assert len(storage.kept) == 2


def test_upload_of_several_nodes_sends_the_same_content_once(node: Node, storage: MemoryStorage) -> None:
    async def all_nodes() -> None:
        await asyncio.gather(*(node.upload(maker(b"a")) for _ in range(3)))

    asyncio.run(all_nodes())
    assert storage.kept == [b"a"]


@pytest.mark.parametrize(("life", "puts"), [(None, 1), (24 * HOUR, 1), (1900, 1), (1700, 2), (0, 2)])
def test_upload_does_not_reuse_a_url_that_expires_soon(
    life: float | None, puts: int, node: Node, storage: MemoryStorage
) -> None:
    storage.life = life
    node.run(maker(b"a"))
    node.run(maker(b"a"))
    assert len(storage.kept) == puts


def test_upload_sends_another_copy_to_another_storage(node: Node) -> None:
    node.run(maker(b"a"))
    node.storage = MemoryStorage("other")
    assert node.run(maker(b"a")) == ["https://other/1.png"]
    assert node.storage.kept == [b"a"]


def test_upload_remembers_the_length_of_a_clip_by_its_url(node: Node) -> None:
    (url,) = node.run(maker(b"clip", seconds=3.5))
    upload = node.ledger.uploads.by_url(url)
    assert upload is not None
    assert (upload.seconds, upload.storage) == (3.5, "memory")


def test_generation_increases_before_a_url_expires(node: Node) -> None:
    node.run(maker(b"a"))
    before = node.generation()
    assert node.generation() == before
    for hours, again in ((20, False), (23.4, False), (23.6, True)):
        node.hours_later = hours
        assert (node.generation() != before) is again


def test_generation_stays_if_a_url_does_not_expire(node: Node, storage: MemoryStorage) -> None:
    storage.life = None
    node.run(maker(b"a"))
    before = node.generation()
    node.hours_later = 10_000
    assert node.generation() == before


def test_generation_increases_before_the_first_of_several_urls_expires(node: Node, storage: MemoryStorage) -> None:
    """A list input makes ComfyUI run the node several times in one prompt."""
    node.prompt_id = "prompt"
    storage.life = 2 * HOUR
    node.run(maker(b"a"))
    storage.life = 24 * HOUR
    node.run(maker(b"b"))
    before = node.generation()
    node.hours_later = 1.6
    assert node.generation() != before


@pytest.mark.parametrize(("public", "mark"), [(False, ""), (True, " · public link")])
def test_upload_shows_what_was_changed_and_whether_links_are_public(node: Node, public: bool, mark: str) -> None:
    files = maker(b"a", notes=("Image 1: scaled.",)), maker(b"b", notes=("Image 2: flattened.",))
    node.storage.public_links = public
    node.run(*files, note="SANDBOX")
    assert node.shown == ["SANDBOX\nImage 1: scaled.\nImage 2: flattened.\n2 images, 0.0 MB" + mark]


def test_upload_logs_each_privacy_notice_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    for storage in (MemoryStorage(), MemoryStorage("silent"), MemoryStorage(), MemoryStorage("other")):
        node.storage = storage
        if storage.name == "silent":
            storage.privacy_notice = ""
        node.run(maker(b"a"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["Wan 2.7: Files go to memory.", "Wan 2.7: Files go to other."]


def test_upload_encodes_as_many_files_at_a_time_as_there_are_cores(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_pipeline.os, "cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=60)
    running: list[int] = []
    most: list[int] = []

    def encode(job: Any, directory: Path) -> MediaFile:
        running.append(1)
        most.append(len(running))
        both.wait()  # passes only if two are here at the same time
        running.pop()
        return maker(b"a")(job, directory)

    node.run(*[encode] * 6)
    assert max(most) == 2


def test_upload_interrupted_removes_its_folder_when_the_encoder_has_closed_its_file(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows deletes no file that is open, and an encoder ends a moment after its node."""
    closed = threading.Event()
    remove = shutil.rmtree
    folders: list[Path] = []

    def refuse_while_open(folder: Any, *arguments: Any, **options: Any) -> None:
        if closed.is_set():
            remove(folder, *arguments, **options)

    def encode(job: Any, directory: Path) -> MediaFile:
        folders.append(directory)
        (directory / "private.png").write_bytes(b"private")
        raise MediaError("interrupted")

    monkeypatch.setattr(shutil, "rmtree", refuse_while_open)
    with pytest.raises(MediaError):
        node.run(encode)
    assert (folders[0] / "private.png").exists()
    closed.set()
    end = time.monotonic() + 30
    while folders[0].exists() and time.monotonic() < end:
        time.sleep(0.01)
    assert not folders[0].exists()
