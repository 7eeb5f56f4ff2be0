"""Wan 2.7 Upload Image, Audio and Video: from a ComfyUI tensor or file to a URL that the service can fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .comfy.node_inputs import literal_choice_problems
from .comfy.node_schema import (
    AUDIO_LIMITS,
    CATEGORY,
    CLIP_LIMITS,
    IMAGE_LIMITS,
    aliases,
    choice,
    on_limit_choice,
    output,
)
from .comfy.runtime import executing, report
from .core import limits
from .core.limits import AUDIO_FORMATS, IMAGE_FORMATS, ON_LIMIT, choice_problems
from .media.files import MediaError, MediaFile
from .services import get_process

if TYPE_CHECKING:
    from .comfy.runtime import Job
    from .comfy.upload_pipeline import Encode


_NO_AUDIO = (
    "No audio arrived: the video that it should come from is silent. url is empty, and Image to Video treats that as "
    "not linked."
)


class _UploadNode(io.ComfyNode):
    """What the upload nodes share."""

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """Run again if files are stored elsewhere now, and before a URL of this node expires."""
        process = get_process()
        storage = process.settings().storage.kind
        return f"{process.connection_identity()} {storage} {process.uploads.generation()}"


class Wan27UploadImage(_UploadNode):
    """Uploads every image of a batch; one URL each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27UploadImage",
            display_name="Wan 2.7 Upload Image",
            category=CATEGORY,
            description=(
                "Uploads a first or last frame and outputs its URL. A batch of images gives one URL each, and so one "
                "video each. The same image is uploaded only once."
            ),
            **aliases("first frame", "last frame", "image url"),
            inputs=[
                io.Image.Input("image", tooltip=f"One image or a batch. {IMAGE_LIMITS}"),
                on_limit_choice("scale, flatten transparency on white and compress as far as the limits require"),
                choice(
                    "format",
                    IMAGE_FORMATS,
                    "auto: PNG, lossless, if it fits; otherwise the best JPEG or WebP that does. "
                    "jpeg: smaller files, quality 95. webp: smaller still, with less color detail.",
                    advanced=True,
                ),
            ],
            outputs=[
                output(io.String, "url", "One URL for each image, for image_url or last_frame_url.", is_list=True)
            ],
        )

    @classmethod
    def validate_inputs(cls, on_limit: Any = None, format: Any = None) -> bool | str:
        """Check the choices, which ComfyUI does not."""
        return " ".join(_choice_problems(on_limit, format, IMAGE_FORMATS)) or True

    @classmethod
    async def execute(cls, image: Any, on_limit: Any = ON_LIMIT[0], format: Any = IMAGE_FORMATS[0]) -> io.NodeOutput:
        """Encode all images, then upload them."""
        from .media.image.encode import encode_image
        from .media.image.pixels import check_batch

        _require_choices(on_limit=(on_limit, ON_LIMIT), format=(format, IMAGE_FORMATS))
        check_batch(image)
        encode = partial(encode_image, bounds=limits.IMAGE, format=format, on_limit=on_limit)
        return io.NodeOutput(await _upload_batch(partial(encode, item, index=i) for i, item in enumerate(image)))


class Wan27UploadAudio(_UploadNode):
    """Uploads all audio of a batch; one URL each."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27UploadAudio",
            display_name="Wan 2.7 Upload Audio",
            category=CATEGORY,
            description=(
                "Uploads the audio that drives lip sync and motion and outputs its URL. A batch gives one URL for each "
                "item. The same audio is uploaded only once. If a silent video delivers no audio, url is empty."
            ),
            **aliases("driving audio", "lip sync", "audio url"),
            inputs=[
                io.Audio.Input("audio", tooltip=f"{AUDIO_LIMITS} More than two channels are mixed down."),
                on_limit_choice(
                    f"cut at {limits.AUDIO.max_seconds:g} s with a short fade and compress as far as the limits "
                    "require; add silence if the host needs longer audio"
                ),
                choice(
                    "format",
                    AUDIO_FORMATS,
                    "auto: WAV, lossless, if it fits; otherwise MP3. mp3: 320 kbit/s.",
                    advanced=True,
                ),
            ],
            outputs=[output(io.String, "url", "One URL for each item, for driving_audio_url.", is_list=True)],
        )

    @classmethod
    def validate_inputs(cls, on_limit: Any = None, format: Any = None) -> bool | str:
        """Check the choices, which ComfyUI does not."""
        return " ".join(_choice_problems(on_limit, format, AUDIO_FORMATS)) or True

    @classmethod
    async def execute(cls, audio: Any, on_limit: Any = ON_LIMIT[0], format: Any = AUDIO_FORMATS[0]) -> io.NodeOutput:
        """Encode all audio of the batch, then upload it."""
        from .media.audio.encode import HostMinimum, encode_audio
        from .media.audio.waveform import audio_count

        _require_choices(on_limit=(on_limit, ON_LIMIT), format=(format, AUDIO_FORMATS))
        if audio is None:  # core's Get Video Components delivers this for a silent video
            report([_NO_AUDIO], node_id=executing()[1])
            return io.NodeOutput([""])
        dialect = (await get_process().services()).connection.dialect
        least = HostMinimum(dialect.capabilities.min_audio_seconds, dialect.host.title)
        encode = partial(encode_audio, audio, limits.AUDIO, format=format, on_limit=on_limit, least=least)
        return io.NodeOutput(await _upload_batch(partial(encode, index=i) for i in range(audio_count(audio))))


class Wan27UploadVideo(_UploadNode):
    """Uploads a clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27UploadVideo",
            display_name="Wan 2.7 Upload Video",
            category=CATEGORY,
            description=(
                "Uploads a clip to be continued and outputs its URL and length. An mp4 or mov inside the limits is "
                "sent as it is, but without its tags (graph, location, title); anything else is encoded once. The same "
                "clip is uploaded only once."
            ),
            **aliases("continue video", "extend video", "first clip", "video url"),
            inputs=[
                io.Video.Input("video", tooltip=CLIP_LIMITS),
                on_limit_choice(
                    f"keep the last {limits.CLIP.max_seconds:g} s (the video continues from the end), scale and encode "
                    "again as far as the limits require"
                ),
            ],
            outputs=[
                output(io.String, "url", "Link it to first_clip_url of Wan 2.7 Image to Video."),
                output(io.Float, "duration", "Seconds of the clip. The duration of the whole video must be longer."),
            ],
        )

    @classmethod
    def validate_inputs(cls, on_limit: Any = None) -> bool | str:
        """Check the choice, which ComfyUI does not."""
        return " ".join(_choice_problems(on_limit)) or True

    @classmethod
    async def execute(cls, video: Any, on_limit: Any = ON_LIMIT[0]) -> io.NodeOutput:
        """Check or encode the clip, then upload it."""
        from .media.clip.encode import encode_clip

        _require_choices(on_limit=(on_limit, ON_LIMIT))

        def encode(job: Job, directory: Path) -> MediaFile:
            return encode_clip(
                video,
                limits.CLIP,
                directory=directory,
                on_limit=on_limit,
                cancelled=job.cancelled,
                on_progress=job.progress,
            )

        ((url, file),) = await _upload([encode])
        return io.NodeOutput(url, file.seconds)


def _choice_problems(on_limit: Any, format: Any = None, formats: Sequence[str] = ()) -> list[str]:
    return literal_choice_problems(on_limit=(on_limit, ON_LIMIT), format=(format, formats))


def _require_choices(**values: tuple[Any, Sequence[str]]) -> None:
    if problems := list(choice_problems(**values)):
        raise MediaError(" ".join(problems))


async def _upload_batch(encoders: Iterable[Callable[..., MediaFile]]) -> list[str]:
    """Upload what the encoders create when they are called with `directory` and `cancelled`; return the URLs."""

    def run(encode: Callable[..., MediaFile], job: Job, directory: Path) -> MediaFile:
        return encode(directory=directory, cancelled=job.cancelled)

    return [url for url, _ in await _upload([partial(run, encode) for encode in encoders])]


async def _upload(encoders: Sequence[Encode]) -> list[tuple[str, MediaFile]]:
    process = get_process()
    services = await process.services()
    storage = await asyncio.to_thread(services.make_storage)
    return await process.uploads.upload(
        encoders,
        storage=storage,
        ledger=services.ledger,
        note=services.note,
        check_balance=services.check_balance,
    )
