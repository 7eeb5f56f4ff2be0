"""The pack as a user of one host has it: its key, and everything else as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nodes.comfy.node_cache import NodeCache
from nodes.comfy.upload_pipeline import UploadPipeline
from nodes.config import Settings, load_settings
from nodes.media.files import describe
from nodes.runner.models import Finished, Order, Submitted
from nodes.runner.runner import Runner
from nodes.services import Process, Services
from nodes.storage.host import HostStorage
from tests.fixtures import House
from tests.hosts.stand_in import StandIn
from tests.media_files import clip_bytes, photo, png, wav_bytes

MAKERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "image_url": ("png", lambda: png(photo(320, 240, seed=1))),
    "last_frame_url": ("png", lambda: png(photo(320, 240, seed=2))),
    "first_clip_url": ("mp4", lambda: clip_bytes(2.5)),
    "driving_audio_url": ("wav", lambda: wav_bytes(4.0)),
}


@cache
def media_bytes(name: str) -> bytes:
    """Return the file of one input."""
    return MAKERS[name][1]()


class _Process(Process):
    """A process with settings of its own, instead of those in the environment of the tests."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        super().__init__(folder / "user", folder / "output")
        self._loaded = load_settings(self.user_dir, environ)

    def settings(self) -> Settings:
        return self._loaded


class Pack(House):
    """The pack connected to a stand-in. Both have the clock of the stand-in."""

    service: Any

    def __init__(self, folder: Path, host: StandIn, settings: Mapping[str, str] | None = None) -> None:
        self.host = host
        self.process = _Process(folder, {**host.environment(), **(settings or {})})
        self.settings = self.process.settings()
        self.uploads = UploadPipeline(NodeCache(), clock=host.now)
        connection = self.process.connection_for(self.settings)
        super().__init__(folder, host, connection)  # type: ignore[arg-type]

    def start(self, **options: Any) -> Runner:
        return super().start(wall_clock=self.host.now, connection_for=self.process.connection_named, **options)

    @property
    def services(self) -> Services:
        return Services(self.settings, self.connection, self.ledger_in_use, self.runner)

    async def upload(self, *names: str) -> dict[str, str]:
        """Do what the upload nodes do with the files of some inputs; return their URLs."""
        if not names:
            return {}
        encoders = []
        for name in names:
            # Files of the same name must not replace each other at the host.
            path = self.folder / name / f"file.{MAKERS[name][0]}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(media_bytes(name))
            encoders.append(lambda job, directory, path=path: describe(path))
        storage = self.services.make_storage()
        if isinstance(storage, HostStorage):  # with the clock of the ledger, which compares what it says
            storage = HostStorage(self.connection, clock=self.host.now)
        files = await self.uploads.upload(encoders, storage=storage, ledger=self.ledger_in_use)
        return {name: url for name, (url, _) in zip(names, files, strict=True)}

    async def video(self, *names: str, **fields: Any) -> Finished:
        """Do what a graph does with the files of some inputs."""
        [finished] = await self.make(self.order(**{"duration": 5, **await self.upload(*names), **fields}))
        return finished

    def stop(self) -> None:
        """End the process: what it had in memory is gone."""
        self.runner.close(1.0)

    def record(self) -> Any:
        """Return the only record of the ledger."""
        (only,) = self.ledger().task_list.page(limit=200).records
        return only


@pytest.fixture
def pack(host: StandIn, tmp_path: Path) -> Iterator[Pack]:
    made = Pack(tmp_path, host)
    yield made
    made.close()


def submit(pack: Pack, *orders: Order) -> Submitted:
    """Submit and return the first task."""
    return asyncio.run(pack.submit(*orders))[0]
