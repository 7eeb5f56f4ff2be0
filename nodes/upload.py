"""Wan 2.7 Upload Image, Audio and Video: from a ComfyUI tensor or file to a URL that the service can fetch."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .comfy.upload_pipeline import encode_and_send, fingerprint
from .core import limits
from .core.limits import AUDIO_FORMATS, IMAGE_FORMATS, ON_LIMIT
from .media.files import MediaError, MediaFile

if TYPE_CHECKING:
    from .comfy.runtime import Job

CATEGORY = "video/Wan 2.7"

_IMAGE, _AUDIO, _CLIP, _MB = limits.IMAGE, limits.AUDIO, limits.CLIP, limits.MB


def _on_limit(fit: str) -> io.Combo.Input:
    return io.Combo.Input(
        "on_limit",
        options=list(ON_LIMIT),
        default=ON_LIMIT[0],
        tooltip=f"fit: {fit}, and say what was changed. error: stop with a message instead.",
    )


def _check_combos(**values: tuple[Any, tuple[str, ...]]) -> str:
    """What is wrong with the values of combos, "" for nothing. ComfyUI does not check those of V3 nodes."""
    return " ".join(
        f"{name} is {value!r}; it must be one of {', '.join(options)}."
        for name, (value, options) in values.items()
        if value is not None and value not in options
    )


def _require(problem: str) -> None:
    if problem:
        raise MediaError(problem)


class Wan27UploadImage(io.ComfyNode):
    """Every image of a batch becomes one URL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27UploadImage",
            display_name="Wan 2.7 Upload Image",
            category=CATEGORY,
            description=(
                "Uploads a first or last frame and gives out its URL. A batch of images gives one URL each, and so one "
                "video each. The same picture is sent only once."
            ),
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip=(
                        f"One image or a batch. Both sides {_IMAGE.min_side}-{_IMAGE.max_side} px, aspect at most "
                        f"{_IMAGE.max_aspect:g}:1, file at most {_IMAGE.max_bytes // _MB} MB."
                    ),
                ),
                _on_limit("scale, lay transparency on white and compress as far as the service's limits ask for"),
                io.Combo.Input(
                    "format",
                    options=list(IMAGE_FORMATS),
                    default=IMAGE_FORMATS[0],
                    tooltip=(
                        "auto: PNG, without loss, while it is small enough; else the best JPEG or WebP that is. "
                        "jpeg: smaller files, quality 95. webp: smaller still, coarser in colour."
                    ),
                ),
            ],
            outputs=[
                io.String.Output(
                    "url",
                    display_name="url",
                    is_output_list=True,
                    tooltip="One URL for each image. Link it to image_url or last_frame_url of Wan 2.7 Image to Video.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, on_limit: Any = None, format: Any = None) -> bool | str:
        """The values of the combos."""
        return _check_combos(on_limit=(on_limit, ON_LIMIT), format=(format, IMAGE_FORMATS)) or True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """Run again before a URL ends."""
        return fingerprint()

    @classmethod
    async def execute(cls, image: Any, on_limit: Any = ON_LIMIT[0], format: Any = IMAGE_FORMATS[0]) -> io.NodeOutput:
        """Encode all images, then send them."""
        from .media.image.encode import encode_image

        _require(_check_combos(on_limit=(on_limit, ON_LIMIT), format=(format, IMAGE_FORMATS)))
        if len(image) == 0:
            raise MediaError("The image is an empty batch: there is no image in it. Look at the node that made it.")

        def encode(index: int, job: Job, directory: Path) -> MediaFile:
            return encode_image(
                image[index],
                limits.IMAGE,
                directory=directory,
                format=format,
                on_limit=on_limit,
                index=index,
                cancelled=job.cancelled,
            )

        sent = await encode_and_send([partial(encode, index) for index in range(len(image))])
        return io.NodeOutput([url for url, _ in sent])


class Wan27UploadAudio(io.ComfyNode):
    """Every sound of a batch becomes one URL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27UploadAudio",
            display_name="Wan 2.7 Upload Audio",
            category=CATEGORY,
            description=(
                "Uploads the sound that drives lip sync and motion and gives out its URL. A batch of sounds gives one "
                "URL each. The same sound is sent only once."
            ),
            inputs=[
                io.Audio.Input(
                    "audio",
                    tooltip=(
                        f"{_AUDIO.min_seconds:g}-{_AUDIO.max_seconds:g} s, file at most {_AUDIO.max_bytes // _MB} MB. "
                        "More than two channels are mixed down."
                    ),
                ),
                _on_limit(f"cut at {_AUDIO.max_seconds:g} s with a short fade and compress as far as needed"),
                io.Combo.Input(
                    "format",
                    options=list(AUDIO_FORMATS),
                    default=AUDIO_FORMATS[0],
                    tooltip="auto: WAV, without loss, while it is small enough; else MP3. mp3: 320 kbit/s.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "url",
                    display_name="url",
                    is_output_list=True,
                    tooltip="One URL for each sound. Link it to driving_audio_url of Wan 2.7 Image to Video.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, on_limit: Any = None, format: Any = None) -> bool | str:
        """The values of the combos."""
        return _check_combos(on_limit=(on_limit, ON_LIMIT), format=(format, AUDIO_FORMATS)) or True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """Run again before a URL ends."""
        return fingerprint()

    @classmethod
    async def execute(cls, audio: Any, on_limit: Any = ON_LIMIT[0], format: Any = AUDIO_FORMATS[0]) -> io.NodeOutput:
        """Encode all sounds, then send them."""
        from .media.audio.encode import encode_audio
        from .media.audio.waveform import audio_count

        _require(_check_combos(on_limit=(on_limit, ON_LIMIT), format=(format, AUDIO_FORMATS)))

        def encode(index: int, job: Job, directory: Path) -> MediaFile:
            return encode_audio(
                audio,
                limits.AUDIO,
                directory=directory,
                format=format,
                on_limit=on_limit,
                index=index,
                cancelled=job.cancelled,
            )

        sent = await encode_and_send([partial(encode, index) for index in range(audio_count(audio))])
        return io.NodeOutput([url for url, _ in sent])


class Wan27UploadVideo(io.ComfyNode):
    """A clip becomes one URL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Wan27UploadVideo",
            display_name="Wan 2.7 Upload Video",
            category=CATEGORY,
            description=(
                "Uploads a clip to be continued and gives out its URL and length. An mp4 or mov inside the limits is "
                "sent as it is, but without its tags (graph, place, title); anything else is encoded once. The same "
                "clip is sent only once."
            ),
            inputs=[
                io.Video.Input(
                    "video",
                    tooltip=(
                        f"{_CLIP.min_seconds:g}-{_CLIP.max_seconds:g} s, both sides {_CLIP.min_side}-{_CLIP.max_side} "
                        f"px, aspect at most {_CLIP.max_aspect:g}:1, file at most {_CLIP.max_bytes // _MB} MB."
                    ),
                ),
                _on_limit(
                    f"keep the last {_CLIP.max_seconds:g} s (the video goes on from the end), scale and encode again "
                    "as far as needed"
                ),
            ],
            outputs=[
                io.String.Output(
                    "url", display_name="url", tooltip="Link it to first_clip_url of Wan 2.7 Image to Video."
                ),
                io.Float.Output(
                    "duration",
                    display_name="duration",
                    tooltip=(
                        "Seconds of the clip that was sent. The duration of Wan 2.7 Image to Video is the total and "
                        "must be longer."
                    ),
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, on_limit: Any = None) -> bool | str:
        """The value of the combo."""
        return _check_combos(on_limit=(on_limit, ON_LIMIT)) or True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """Run again before a URL ends."""
        return fingerprint()

    @classmethod
    async def execute(cls, video: Any, on_limit: Any = ON_LIMIT[0]) -> io.NodeOutput:
        """Check or encode the clip, then send it."""
        from .media.clip.encode import encode_clip

        _require(_check_combos(on_limit=(on_limit, ON_LIMIT)))

        def encode(job: Job, directory: Path) -> MediaFile:
            return encode_clip(
                video,
                limits.CLIP,
                directory=directory,
                on_limit=on_limit,
                cancelled=job.cancelled,
                on_progress=job.progress,
            )

        ((url, file),) = await encode_and_send([encode])
        return io.NodeOutput(url, file.seconds)
