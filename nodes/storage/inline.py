"""Pictures inside the request itself, as data URIs. Needs no storage; the service does not document it."""

from __future__ import annotations

import asyncio
import base64

from ..core.errors import StorageError
from ..media.files import MediaFile
from .base import Progress, StoredUrl

_HELP = """The service takes URLs only, so {what} needs a storage. Choose one under [storage] in config.toml:
  kind = "s3"       any S3-compatible bucket (AWS, R2, B2, MinIO, OSS), private, with signed links
  kind = "http"     any server that takes a PUT or a form POST, or one of the presets
  kind = "comfyui"  this ComfyUI itself, where it can be reached from the internet
or paste a public URL into the {field} input. See "Storage" in the README."""

_FIELDS = {"audio": "driving_audio_url", "video": "first_clip_url", "image": "image_url"}


class InlineStorage:
    """Turns pictures into data URIs; refuses sound and video with the choice there is."""

    name = "inline"
    note = "No storage is set: the picture is sent inside the request (the service does not document this)."

    async def put(self, file: MediaFile, *, on_progress: Progress | None = None) -> StoredUrl:
        """See `Storage.put`."""
        if file.kind != "image":
            raise StorageError(no_storage_text(file.kind))
        data = await asyncio.to_thread(file.path.read_bytes)
        encoded = base64.b64encode(data).decode("ascii")
        if on_progress is not None:
            on_progress(file.size, file.size)
        return StoredUrl(f"data:{file.mime};base64,{encoded}")


def no_storage_text(kind: str) -> str:
    """The five lines that explain which storages there are."""
    what = {"audio": "a sound", "video": "a clip"}.get(kind, "this picture")
    return _HELP.format(what=what, field=_FIELDS.get(kind, "url"))
