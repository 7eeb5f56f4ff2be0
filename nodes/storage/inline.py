"""Images inside the request itself, as data URIs. Needs no storage, but the service does not document it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import MediaRefusedError, ServiceError, StorageError, TaskFailedError, Wan27Error, reworded
from ..media.files import MediaFile
from .base import Progress, StoredUrl

_HELP = """The service accepts URLs only, so {what} needs a storage. Choose one under [storage] in config.toml:
  kind = "s3"       any S3-compatible bucket (AWS, R2, B2, MinIO, OSS), private, with signed links
  kind = "http"     any server that takes a PUT or a form POST, or one of the presets
  kind = "comfyui"  this ComfyUI itself, if it can be reached from the internet
or paste a public URL into the {field} input. See "Storage" in the README."""

_WHAT = {
    "image": ("this image", "image_url"),
    "audio": ("audio", "driving_audio_url"),
    "video": ("a clip", "first_clip_url"),
}

_REFUSED = frozenset({400, 413, 415, 422})
"""Statuses of a request whose body was refused; a proxy answers 413 to a body that is too large for it."""

_NOT_FETCHED = ("Unable to download", "InvalidURL", "InvalidParameter.DataInspection")
"""What the model says when it could not fetch a URL."""


class InlineStorage:
    """Turns images into data URIs. Refuses audio and video, and lists the storages to choose from."""

    name = "inline"
    privacy_notice = "No storage is set: the image is sent inside the request (the service does not document this)."

    async def put(self, file: MediaFile, *, on_progress: Progress | None = None) -> StoredUrl:
        if file.kind != "image":
            raise StorageError(_storage_help(file.kind))
        data = await asyncio.to_thread(file.path.read_bytes)
        encoded = base64.b64encode(data).decode("ascii")
        if on_progress is not None:
            on_progress(file.size, file.size)
        return StoredUrl(f"data:{file.mime};base64,{encoded}")


@contextmanager
def explain_refused_image(inline: bool) -> Iterator[None]:
    """List the storages in an error that an image may have caused, if it was (or probably was) sent `inline`."""
    try:
        yield
    except Wan27Error as error:
        if not (inline and _may_be_the_image(error)):
            raise
        advice = f"The image was sent inside the request. {_storage_help('image')}"
        raise reworded(error, f"{error}\n{advice}") from error


def _may_be_the_image(error: Wan27Error) -> bool:
    if isinstance(error, MediaRefusedError):
        return True
    if type(error) is ServiceError:  # its subclasses are about something else, such as the key or the prompt
        return error.status in _REFUSED
    # A failed task, or several failures in an error of the base class that holds the text of each.
    return type(error) in (TaskFailedError, Wan27Error) and any(text in str(error) for text in _NOT_FETCHED)


def _storage_help(kind: str) -> str:
    what, field = _WHAT[kind]
    return _HELP.format(what=what, field=field)
