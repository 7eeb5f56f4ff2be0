"""Files that this ComfyUI serves: the folder, the names and their expiry. The route: tests/comfyui/test_storage.py."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from nodes.core import disk
from nodes.core.errors import StorageError
from nodes.media.files import MIME
from nodes.storage.comfyui import FOLDER, ROUTE, ComfyStorage, find_file, remove_expired
from tests.media_files import large_file, media_file
from tests.storage.servers import hours_left
from tests.systems import link_or_skip

PUBLIC = {"public_url": "https://pod-8188.proxy.example/"}


def test_put_copies_the_file_and_find_file_returns_it(tmp_path: Path) -> None:
    file = media_file(tmp_path, "my holiday.png")
    stored = asyncio.run(ComfyStorage(PUBLIC, tmp_path / "user").put(file))
    base, _, name = stored.url.rpartition("/")
    assert f"{base}/" == f"https://pod-8188.proxy.example{ROUTE}"
    assert hours_left(stored.expires_at) == pytest.approx(24, abs=0.01)
    found = find_file(tmp_path / "user" / FOLDER, name)
    assert found is not None
    path, mime = found
    assert mime == "image/png" and path.read_bytes() == file.path.read_bytes()
    file.path.unlink()  # the copy stays
    assert path.read_bytes()


def test_put_names_cannot_be_guessed_and_never_repeat(tmp_path: Path) -> None:
    storage, file = ComfyStorage(PUBLIC, tmp_path), media_file(tmp_path)
    names = {asyncio.run(storage.put(file)).url.rpartition("/")[2] for _ in range(5)}
    random = {name.partition("-")[2].partition(".")[0] for name in names}
    assert len(random) == 5 and {len(part) for part in random} == {48}


def test_find_file_refuses_every_other_name(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    name = asyncio.run(ComfyStorage(PUBLIC, tmp_path).put(media_file(tmp_path))).url.rpartition("/")[2]
    end, rest = name.split("-")
    (tmp_path / "config.toml").write_text("secret")
    (folder / "config.toml").write_text("secret")
    (folder / f"{end}-{'b' * 48}.png").mkdir()
    (folder / f"{name}.part").write_bytes(b"half")
    assert find_file(folder, name)
    others = [
        "",
        ".",
        "..",
        "../config.toml",
        "config.toml",
        f"{end}-{'b' * 48}.png",
        f"{end}-{'c' * 48}.png",
        f"{int(end) + 1}-{rest}",  # a later expiry is another name
        f"{name}.part",
        f"{name}/",
        f"./{name}",
        f"{name}\n",
        f"{name}\0",
        name.upper(),
        name.replace(".png", ".html"),
    ]
    assert [other for other in others if find_file(folder, other)] == []
    assert find_file(tmp_path / "not there", name) is None


def test_find_file_follows_no_link(tmp_path: Path) -> None:
    name = f"{int(time.time()) + 60}-{'a' * 48}.png"
    (tmp_path / "config.toml").write_text("secret")
    link_or_skip(tmp_path / name, tmp_path / "config.toml")
    assert find_file(tmp_path, name) is None


def test_remove_expired_deletes_what_find_file_no_longer_returns(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    now = int(time.time())
    ended, live, half = (f"{now + more}-{'0' * 48}.png" for more in (-1, 60, 120))
    for name in (ended, live):
        (folder / name).write_bytes(b"x")
    for name, age in ((f"{half}.part", 7200), (f"{live}.part", 60)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (now - age, now - age))
    (folder / "something else").write_bytes(b"x")
    assert find_file(folder, ended) is None and find_file(folder, live)
    remove_expired(folder)
    assert {path.name for path in folder.iterdir()} == {live, f"{live}.part", "something else"}
    remove_expired(tmp_path / "not there")


def test_find_file_knows_every_type_that_the_nodes_write(tmp_path: Path) -> None:
    for ending, mime in MIME.items():
        name = asyncio.run(ComfyStorage(PUBLIC, tmp_path).put(media_file(tmp_path, f"x.{ending}"))).url.rpartition("/")[
            2
        ]
        found = find_file(tmp_path / FOLDER, name)
        assert found and found[1] == mime


def test_put_interrupted_leaves_no_file(tmp_path: Path) -> None:
    async def work() -> None:
        begun = asyncio.Event()
        storage = ComfyStorage(PUBLIC, tmp_path)
        task = asyncio.ensure_future(
            storage.put(large_file(tmp_path, 30_000_000), on_progress=lambda done, total: begun.set())
        )
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_put_lets_the_event_loop_go_on_while_another_program_has_the_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_open = [True]
    rename = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if is_open:
            raise PermissionError(13, "Access is denied")
        return rename(self, target)

    async def work() -> str:
        asyncio.get_running_loop().call_later(0.5, is_open.clear)
        return (await ComfyStorage(PUBLIC, tmp_path).put(media_file(tmp_path))).url

    monkeypatch.setattr(disk, "PATIENCE_SECONDS", 10.0)
    monkeypatch.setattr(Path, "replace", replace)
    assert find_file(tmp_path / FOLDER, asyncio.run(work()).rpartition("/")[2])


def test_put_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    with pytest.raises(StorageError, match="cannot be copied to"):
        asyncio.run(ComfyStorage(PUBLIC, tmp_path).put(media_file(tmp_path)))


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("https://host", "https://host/wan27/media/"),
        ("https://host/", "https://host/wan27/media/"),
        ("http://1.2.3.4:41234", "http://1.2.3.4:41234/wan27/media/"),
        ("https://host/proxy/8188/", "https://host/proxy/8188/wan27/media/"),
        ("https://host/api", "https://host/wan27/media/"),
    ],
)
def test_public_url_forms_of_providers(url: str, start: str, tmp_path: Path) -> None:
    assert asyncio.run(ComfyStorage({"public_url": url}, tmp_path).put(media_file(tmp_path))).url.startswith(start)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "public_url under [storage.comfyui] (or WAN27_STORAGE_COMFYUI_PUBLIC_URL)"),
        ({"public_url": "host:8188"}, "http(s) URL"),
        ({"public_url": "https://me:pw-SECRET@host"}, "password"),
        ({"public_url": "https://host/?token=pw-SECRET"}, "question mark"),
        ({"public_url": "https://host", "expires_hours": -1}, "expires_hours"),
    ],
)
def test_settings_that_cannot_be_used_are_named(values: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        ComfyStorage(values, tmp_path)
    assert said in str(caught.value) and "SECRET" not in str(caught.value)
