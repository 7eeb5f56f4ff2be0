"""Images inside the request itself, as data URIs. Needs no storage, but not every host documents it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager

from ..api.connection import Connection
from ..api.hosts import DIALECTS
from ..core.errors import MediaRefusedError, ServiceError, StorageError, TaskFailedError, Wan27Error, reworded
from ..media.files import MediaFile
from .base import OnProgress, StoredUrl

_HELP = """{title} accepts URLs only, so {what} needs a storage. Choose one under [storage] in config.toml:
  kind = "s3"       any S3-compatible bucket (AWS, R2, B2, MinIO, OSS), private, with signed links
  kind = "http"     any server that takes a PUT or a form POST, or one of the presets
  kind = "comfyui"  this ComfyUI itself, if it can be reached from the internet
or a host that takes uploads itself ({hosts}), with connection and a key of that host,
or paste a public URL into the {field} input. See "Storage" in the README."""

_HOW_SURE = {
    "documented": "the host documents this",
    "works": "the host does not document this, but others use it",
    "undocumented": "the host does not document this",
}

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
    """Turns images into data URIs. Refuses audio and video, and lists the storages to choose from.

    Raises StorageError if the host of the connection takes no images inside the request.
    """

    name, public_links = "inline", False

    def __init__(self, connection: Connection) -> None:
        self._title, how = connection.host.title, connection.dialect.capabilities.data_uris
        if how == "refused":
            raise StorageError(
                f'storage.kind = "inline" does not work with {self._title}, which takes no images inside the request. '
                'Set kind = "auto" or another kind under [storage] in config.toml: see "Storage" in the README.'
            )
        self.privacy_notice = f"No storage is used: the image is sent inside the request ({_HOW_SURE[how]})."

    async def put(self, file: MediaFile, *, on_progress: OnProgress | None = None) -> StoredUrl:
        if file.kind != "image":
            raise StorageError(_storage_help(file.kind, self._title))
        data = await asyncio.to_thread(file.path.read_bytes)
        encoded = base64.b64encode(data).decode("ascii")
        if on_progress is not None:
            on_progress(file.size, file.size)
        return StoredUrl(f"data:{file.mime};base64,{encoded}")


@contextmanager
def explain_refused_image(inline: bool, title: str) -> Iterator[None]:
    """List the storages in an error that an image may have caused, if it was (or probably was) sent `inline`.

    `title`: of the host that refused it.
    """
    try:
        yield
    except Wan27Error as error:
        if not (inline and _may_be_the_image(error)):
            raise
        advice = f"The image was sent inside the request. {_storage_help('image', title)}"
        raise reworded(error, f"{error}\n{advice}") from error


def _may_be_the_image(error: Wan27Error) -> bool:
    if isinstance(error, MediaRefusedError):
        return True
    if type(error) is ServiceError:  # its subclasses are about something else, such as the key or the prompt
        return error.status in _REFUSED
    # A failed task, or several failures in an error of the base class that holds the text of each.
    return type(error) in (TaskFailedError, Wan27Error) and any(text in str(error) for text in _NOT_FETCHED)


def _storage_help(kind: str, title: str) -> str:
    what, field = _WHAT[kind]
    uploading = [name for name, dialect in DIALECTS.items() if dialect.capabilities.upload_seconds]
    return _HELP.format(title=title, what=what, field=field, hosts=", ".join(uploading))
