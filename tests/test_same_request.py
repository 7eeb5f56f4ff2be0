"""The same picture, sound or clip is paid for once, whichever encoder made the file that was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nodes.api.connection import Connection
from nodes.api.request import VideoRequest
from nodes.comfy import upload_pipeline
from nodes.config.settings import Budget, Polling
from nodes.core import limits
from nodes.ledger import Ledger
from nodes.media.audio import waveform
from nodes.media.audio.encode import encode_audio
from nodes.media.clip.encode import encode_clip
from nodes.media.files import MediaFile
from nodes.media.image import formats
from nodes.media.image.encode import encode_image
from nodes.runner.models import Order
from nodes.runner.runner import Runner
from nodes.storage.inline import InlineStorage
from nodes.storage.sandbox import SandboxStorage
from tests.media.comfyui_inputs import FileVideo, VideoFromComponents, ramp, tone
from tests.media_files import write_clip
from tests.service import Service

Encode = Callable[[Path], MediaFile]


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """What is rendered does not matter here, so nothing is."""
    with Service(tmp_path_factory.mktemp("sandbox"), rendered=False, task_seconds=3600) as service:
        yield service


@dataclass
class House:
    """The way from a tensor to a task, with the ledger, runner and sandbox that a ComfyUI has."""

    service: Service
    ledger: Ledger
    runner: Runner
    services: SimpleNamespace
    first_frame: str
    sent: list[str] = field(default_factory=list)

    def task(self, into: str, encode: Encode, **values: Any) -> str:
        """What Upload and Image to Video do."""

        def at_the_node(job: Any, directory: Path) -> MediaFile:
            file = encode(directory)
            self.sent.append(file.sha256)
            return file

        async def queue() -> str:
            ((url, _),) = await upload_pipeline.encode_and_send([at_the_node])
            media = {into: url} if into != "driving_audio_url" else {into: url, "image_url": self.first_frame}
            request = VideoRequest(prompt="waves", duration=5, resolution="720P", seed=1, **media, **values)
            order = Order(request, Connection("sandbox", self.service.url, "sandbox"))
            [submitted] = await self.runner.submit_batch([order])
            return submitted.task_id

        return asyncio.run(queue())

    def posts(self) -> int:
        return len(self.service.posts())


@pytest.fixture
def house(shared_service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    shared_service.reset()
    ledger = Ledger(tmp_path / "ledger.sqlite3")
    runner = Runner(ledger=ledger, output_dir=tmp_path, polling=Polling(60, 60), budget=Budget(100, 100))
    services = SimpleNamespace(storage=SandboxStorage(shared_service.url), ledger=ledger, sandbox_note="")
    first_frame = asyncio.run(services.storage.put(image(picture(), tmp_path))).url

    async def get_services() -> Any:
        return services

    monkeypatch.setattr("nodes.services.get_services", get_services)
    yield House(shared_service, ledger, runner, services, first_frame)
    runner.close(1.0)
    ledger.close()


def picture(seed: int = 1) -> torch.Tensor:
    return torch.rand(240, 250, 3, generator=torch.Generator().manual_seed(seed))


def image(pixels: torch.Tensor, directory: Path, **options: Any) -> MediaFile:
    return encode_image(pixels, limits.IMAGE, directory=directory, **options)


def sound(audio: Any, directory: Path, **options: Any) -> MediaFile:
    return encode_audio(audio, limits.AUDIO, directory=directory, **options)


def clip(video: Any, directory: Path) -> MediaFile:
    return encode_clip(video, limits.CLIP, directory=directory)


def frames(fps: Any = 30, last: float = 1.0) -> VideoFromComponents:
    images = ramp(60, 330, 240).clone()
    images[-1] *= last
    return VideoFromComponents(images, fps, tone(2.0, rate=8_000))


def other_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an update: the same formats, other bytes."""
    monkeypatch.setattr("nodes.media.image.encode.png", formats.png_smaller)
    monkeypatch.setattr("nodes.media.image.encode.jpeg", lambda pixels, quality: formats.jpeg(pixels, quality - 2))
    monkeypatch.setattr("nodes.media.audio.mp3._BITRATES", (256_000,))
    monkeypatch.setattr("nodes.media.clip.writer._X264", {"preset": "ultrafast"})
    for module in ("audio.encode", "clip.source"):
        monkeypatch.setattr(
            f"nodes.media.{module}.resample", lambda *given: waveform.resample(*given) * waveform.np.float32(0.999)
        )


CASES: dict[str, tuple[str, Callable[[Path], Encode]]] = {
    "png": ("image_url", lambda _: partial(image, picture())),
    "jpeg": ("image_url", lambda _: partial(image, picture(), format="jpeg")),
    "scaled": ("image_url", lambda _: partial(image, picture()[:200])),
    "resampled wav": ("driving_audio_url", lambda _: partial(sound, tone(3, rate=4_000))),
    "mp3": ("driving_audio_url", lambda _: partial(sound, tone(3, channels=6), format="mp3")),
    "frames": ("first_clip_url", lambda _: partial(clip, frames())),
    "file": ("first_clip_url", lambda folder: partial(clip, FileVideo(str(write_clip(folder / "a.mkv", sound=2.0))))),
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
def test_another_encoder_makes_no_other_request(
    case: str, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, make = CASES[case]
    encode = make(tmp_path)
    before = house.task(into, encode)
    other_encoders(monkeypatch)
    after = house.task(into, encode)

    assert after == before
    assert house.sent[0] != house.sent[1]
    assert house.posts() == 1


def test_a_picture_inside_the_request_is_known_as_well(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.services.storage = InlineStorage()
    before = house.task("image_url", partial(image, picture()))
    other_encoders(monkeypatch)
    assert house.task("image_url", partial(image, picture())) == before
    assert house.sent[0] != house.sent[1]
    assert house.posts() == 1


def test_auto_that_makes_a_png_is_png(house: House) -> None:
    made = [house.task("image_url", partial(image, picture(), format=wish)) for wish in ("auto", "png", "jpeg")]
    assert made[0] == made[1] != made[2]


def test_an_encoder_that_makes_files_too_large_is_no_other_wish(tmp_path: Path) -> None:
    """auto stands for the best file that fits, whichever that is; a PNG that had to shrink is not that one."""
    roomy, tight = limits.IMAGE, replace(limits.IMAGE, max_bytes=400_000)
    encode = partial(encode_image, torch.rand(480, 500, 3), directory=tmp_path)
    png, jpeg = encode(roomy), encode(tight)
    small = encode(tight, format="png")
    assert (png.extension, jpeg.extension, small.extension) == ("png", "jpg", "png")
    assert png.content == jpeg.content == encode(roomy, format="png").content != small.content


def test_another_medium_is_another_request(house: House, tmp_path: Path) -> None:
    changed = picture()
    changed[5, 5, 0] = 1 - changed[5, 5, 0]
    louder, pitched = tone(3), tone(3)
    louder["waveform"] = louder["waveform"] * 1.01
    pitched["sample_rate"] = 44_100
    path = str(write_clip(tmp_path / "a.mp4", frames=120))
    orders: list[tuple[str, Encode]] = [
        ("image_url", partial(image, picture())),
        ("image_url", partial(image, changed)),
        ("image_url", partial(image, picture().reshape(250, 240, 3))),
        ("image_url", partial(image, picture(), format="jpeg")),
        *(("driving_audio_url", partial(sound, each)) for each in (tone(3), louder, pitched, tone(3.01))),
        ("driving_audio_url", partial(sound, tone(3, channels=1))),
        ("driving_audio_url", partial(sound, tone(3), format="mp3")),
        *(("first_clip_url", partial(clip, each)) for each in (frames(), frames(fps=25), frames(last=0.9))),
        ("first_clip_url", partial(clip, VideoFromComponents(ramp(60, 330, 240)))),
        *(
            ("first_clip_url", partial(clip, FileVideo(path, window)))
            for window in (None, (0.0, 2.5), (0.5, 2.5), (0.5, 3.0))
        ),
    ]
    tasks = [house.task(into, encode) for into, encode in orders]
    assert len(set(tasks)) == house.posts() == len(orders)


def test_what_is_cut_off_does_not_count(house: House) -> None:
    """The last 10 s of a clip and the first 30 s of a sound are what the service gets."""
    longer = VideoFromComponents(torch.cat([torch.rand(9, 240, 330, 3), ramp(100, 330, 240)]), 10)
    whole = VideoFromComponents(ramp(100, 330, 240), 10)
    assert house.task("first_clip_url", partial(clip, longer)) == house.task("first_clip_url", partial(clip, whole))
    assert house.posts() == 1


def test_steps_that_no_file_has_do_not_count(tmp_path: Path) -> None:
    """What rounds to the same 8-bit picture or 16-bit sound is the same."""
    steps = (picture() * 255).round()
    assert image((steps + 0.3) / 255, tmp_path).content == image(steps / 255, tmp_path).content
    quiet = {"waveform": torch.full((1, 1, 9_000), 1e-6), "sample_rate": 4_000}
    silent = {"waveform": torch.full((1, 1, 9_000), -1e-6), "sample_rate": 4_000}
    assert sound(quiet, tmp_path).content == sound(silent, tmp_path).content


def test_the_same_file_is_the_same_request_whatever_it_was_made_of(house: House, tmp_path: Path) -> None:
    """Even where what it was made of is told from the other, and its first URL is forgotten."""
    made = image(picture(), tmp_path)
    encoders = [lambda _, content=content: replace(made, content=content) for content in ("a" * 64, "b" * 64)]
    first = house.task("image_url", encoders[0])
    assert house.task("image_url", encoders[1]) == first
    with house.ledger.database.writing() as db:
        db.execute("DELETE FROM uploads")
    assert house.task("image_url", encoders[1]) == first
    assert house.posts() == 1


def test_a_clip_of_the_user_s_own_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=90)
    whole = clip(FileVideo(str(path)), tmp_path)
    assert whole.content == whole.sha256
    tight = replace(limits.CLIP, max_seconds=2.5)
    encoded = encode_clip(FileVideo(str(path)), tight, directory=tmp_path)
    assert encoded.sha256 != encoded.content == whole.content
