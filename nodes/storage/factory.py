"""Creates the storage that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import StorageError
from .base import Storage


def make_storage(
    kind: str, options: Mapping[str, Mapping[str, Any]], *, sandbox_url: str | None, directory: Path
) -> Storage:
    """Return the storage that the settings name.

    Args:
        options: the tables below [storage], by kind.
        sandbox_url: the address of the sandbox if requests go there: then it stores the files too.
        directory: the pack's own folder, for the kind comfyui.

    Raises:
        StorageError: the kind cannot be used with these settings.
    """
    if sandbox_url is not None:
        from .sandbox import SandboxStorage

        return SandboxStorage(sandbox_url)
    values = options.get(kind, {})
    if kind == "s3":
        from .s3 import S3Storage

        return S3Storage(values)
    if kind == "http":
        from .http import HttpStorage

        return HttpStorage(values)
    if kind == "comfyui":
        from .comfyui import ComfyStorage

        return ComfyStorage(values, directory)
    if kind == "sandbox":
        raise StorageError(
            'storage.kind = "sandbox" works only if requests go to a sandbox: the service cannot fetch from it. '
            'Set another kind under [storage] in config.toml, or connection = "sandbox".'
        )
    from .inline import InlineStorage

    return InlineStorage()
