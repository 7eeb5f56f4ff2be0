"""The same image, audio or clip makes the same request, whichever encoder made the file that was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch

from nodes.api.connection import Connection
from nodes.comfy.node_cache import NodeCache
from nodes.comfy.upload_pipeline import UploadPipeline
from nodes.core import limits
from nodes.media.audio import waveform
from nodes.media.audio.encode import encode_audio
from nodes.media.clip.encode import encode_clip
from nodes.media.files import MediaFile
from nodes.media.image import formats
from nodes.media.image.encode import encode_image
from nodes.storage import Storage
from nodes.storage.inline import InlineStorage
from nodes.storage.sandbox import SandboxStorage
from tests.fixtures import House, house, service
from tests.media.comfyui_inputs import FileVideo, VideoFromComponents, ramp, tone
from tests.media_files import write_clip

__all__ = ["house", "service"]

Encode = Callable[[Path], MediaFile]


@dataclass
class Pack:
    """The path from a tensor to a task, in a house with a ledger, a runner and a service."""

    house: House
    storage: Storage
    first_frame: str
    uploads: UploadPipeline = field(default_factory=lambda: UploadPipeline(NodeCache()))
    sent: list[str] = field(default_factory=list)

    def task(self, into: str, encode: Encode) -> str:
        """Do what Upload and Image to Video do, and return the id of the task."""

        def at_the_node(job: Any, directory: Path) -> MediaFile:
            file = encode(directory)
            self.sent.append(file.sha256)
            return file

        async def queue() -> str:
            ((url, _),) = await self.uploads.upload(
                [at_the_node], storage=self.storage, ledger=self.house.ledger_in_use
            )
            media = {into: url} if into != "driving_audio_url" else {into: url, "image_url": self.first_frame}
            [submitted] = await self.house.submit(self.house.order(duration=5, **media))
            return submitted.task_id

        return asyncio.run(queue())

    def posts(self) -> int:
        return len(self.house.service.posts())


@pytest.fixture
def pack(house: House, tmp_path: Path) -> Pack:
    storage = SandboxStorage(house.service.url)
    return Pack(house, storage, asyncio.run(storage.put(image(pixels(), tmp_path))).url)


def pixels(seed: int = 1) -> torch.Tensor:
    return torch.rand(240, 250, 3, generator=torch.Generator().manual_seed(seed))


def image(tensor: torch.Tensor, directory: Path, **options: Any) -> MediaFile:
    return encode_image(tensor, limits.IMAGE, directory=directory, **options)


def audio(tensor: Any, directory: Path, **options: Any) -> MediaFile:
    return encode_audio(tensor, limits.AUDIO, directory=directory, **options)


def clip(video: Any, directory: Path) -> MediaFile:
    return encode_clip(video, limits.CLIP, directory=directory)


def frames(fps: Any = 30, last: float = 1.0) -> VideoFromComponents:
    images = ramp(60, 330, 240).clone()
    images[-1] *= last
    return VideoFromComponents(images, fps, tone(2.0, rate=8_000))


def other_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install other encoders, as an update does: the same formats, other bytes."""
    monkeypatch.setattr("nodes.media.image.encode.png", formats.png_smaller)
    monkeypatch.setattr("nodes.media.image.encode.jpeg", lambda pixels, quality: formats.jpeg(pixels, quality - 2))
    monkeypatch.setattr("nodes.media.audio.mp3._BITRATES", (256_000,))
    monkeypatch.setattr("nodes.media.clip.writer._PRESET", "ultrafast")
    for module in ("audio.encode", "clip.tensor_clip"):
        monkeypatch.setattr(
            f"nodes.media.{module}.resample", lambda *given: waveform.resample(*given) * waveform.np.float32(0.999)
        )


CASES: dict[str, tuple[str, Callable[[Path], Encode]]] = {
    "png": ("image_url", lambda _: partial(image, pixels())),
    "jpeg": ("image_url", lambda _: partial(image, pixels(), format="jpeg")),
    "scaled": ("image_url", lambda _: partial(image, pixels()[:200])),
    "resampled wav": ("driving_audio_url", lambda _: partial(audio, tone(3, rate=4_000))),
    "mp3": ("driving_audio_url", lambda _: partial(audio, tone(3, channels=6), format="mp3")),
    "frames": ("first_clip_url", lambda _: partial(clip, frames())),
    "file": ("first_clip_url", lambda folder: partial(clip, FileVideo(str(write_clip(folder / "a.mkv", audio=2.0))))),
    "file in memory": (
        "first_clip_url",
        lambda folder: partial(clip, FileVideo(BytesIO(write_clip(folder / "a.mkv").read_bytes()))),
    ),
    "part of a file": (
        "first_clip_url",
        lambda folder: partial(clip, FileVideo(str(write_clip(folder / "a.mp4", frames=90)), (0.5, 2.0))),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_same_media_from_another_encoder_are_the_same_request(
    case: str, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, make = CASES[case]
    encode = make(tmp_path)
    before = pack.task(into, encode)
    other_encoders(monkeypatch)
    after = pack.task(into, encode)

    assert after == before
    assert pack.sent[0] != pack.sent[1]
    assert pack.posts() == 1


def test_same_image_inside_the_request_is_the_same_request(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    pack.storage = InlineStorage(Connection("novita", "https://api.novita.ai", "key"))
    before = pack.task("image_url", partial(image, pixels()))
    other_encoders(monkeypatch)
    assert pack.task("image_url", partial(image, pixels())) == before
    assert pack.sent[0] != pack.sent[1]
    assert pack.posts() == 1


def test_same_request_for_png_and_auto_that_creates_a_png(pack: Pack) -> None:
    made = [pack.task("image_url", partial(image, pixels(), format=wish)) for wish in ("auto", "png", "jpeg")]
    assert made[0] == made[1] != made[2]


def test_content_hash_of_auto_does_not_depend_on_the_format_that_fits(tmp_path: Path) -> None:
    """auto is the best file that fits, whichever format that is; a PNG that had to be made smaller is another one."""
    roomy, tight = limits.IMAGE, replace(limits.IMAGE, max_bytes=400_000)
    encode = partial(encode_image, torch.rand(480, 500, 3), directory=tmp_path)
    png, jpeg = encode(roomy), encode(tight)
    small = encode(tight, format="png")
    assert (png.extension, jpeg.extension, small.extension) == ("png", "jpg", "png")
    assert png.content == jpeg.content == encode(roomy, format="png").content != small.content


def test_different_media_are_different_requests(pack: Pack, tmp_path: Path) -> None:
    changed = pixels()
    changed[5, 5, 0] = 1 - changed[5, 5, 0]
    louder, pitched = tone(3), tone(3)
    louder["waveform"] = louder["waveform"] * 1.01
    pitched["sample_rate"] = 44_100
    path = str(write_clip(tmp_path / "a.mp4", frames=120))
    orders: list[tuple[str, Encode]] = [
        ("image_url", partial(image, pixels())),
        ("image_url", partial(image, changed)),
        ("image_url", partial(image, pixels().reshape(250, 240, 3))),
        ("image_url", partial(image, pixels(), format="jpeg")),
        *(("driving_audio_url", partial(audio, each)) for each in (tone(3), louder, pitched, tone(3.01))),
        ("driving_audio_url", partial(audio, tone(3, channels=1))),
        ("driving_audio_url", partial(audio, tone(3), format="mp3")),
        *(("first_clip_url", partial(clip, each)) for each in (frames(), frames(fps=25), frames(last=0.9))),
        ("first_clip_url", partial(clip, VideoFromComponents(ramp(60, 330, 240)))),
        *(
            ("first_clip_url", partial(clip, FileVideo(path, window)))
            for window in (None, (0.0, 2.5), (0.5, 2.5), (0.5, 3.0))
        ),
    ]
    tasks = [pack.task(into, encode) for into, encode in orders]
    assert len(set(tasks)) == pack.posts() == len(orders)


def test_same_request_whatever_is_cut_off_the_media(pack: Pack) -> None:
    """The service gets the last 10 s of a clip and the first 30 s of audio."""
    longer = VideoFromComponents(torch.cat([torch.rand(9, 240, 330, 3), ramp(100, 330, 240)]), 10)
    whole = VideoFromComponents(ramp(100, 330, 240), 10)
    assert pack.task("first_clip_url", partial(clip, longer)) == pack.task("first_clip_url", partial(clip, whole))
    assert pack.posts() == 1


def test_content_hash_ignores_differences_that_no_file_can_hold(tmp_path: Path) -> None:
    """Images that round to the same 8 bits are the same, and so is audio that rounds to the same 16 bits."""
    steps = (pixels() * 255).round()
    assert image((steps + 0.3) / 255, tmp_path).content == image(steps / 255, tmp_path).content
    quiet = {"waveform": torch.full((1, 1, 9_000), 1e-6), "sample_rate": 4_000}
    silent = {"waveform": torch.full((1, 1, 9_000), -1e-6), "sample_rate": 4_000}
    assert audio(quiet, tmp_path).content == audio(silent, tmp_path).content


def test_same_file_is_the_same_request_whatever_it_was_made_from(pack: Pack, tmp_path: Path) -> None:
    """Even if the sources have different content hashes, and its first URL is forgotten."""
    made = image(pixels(), tmp_path)
    encoders = [lambda _, content=content: replace(made, content=content) for content in ("a" * 64, "b" * 64)]
    first = pack.task("image_url", encoders[0])
    assert pack.task("image_url", encoders[1]) == first
    with pack.house.ledger_in_use.database.writing() as db:
        db.execute("DELETE FROM uploads")
    assert pack.task("image_url", encoders[1]) == first
    assert pack.posts() == 1


def test_content_hash_of_a_clip_that_is_sent_as_it_is_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=90)
    whole = clip(FileVideo(str(path)), tmp_path)
    assert whole.content == whole.sha256
    tight = replace(limits.CLIP, max_seconds=2.5)
    encoded = encode_clip(FileVideo(str(path)), tight, directory=tmp_path)
    assert encoded.sha256 != encoded.content == whole.content
