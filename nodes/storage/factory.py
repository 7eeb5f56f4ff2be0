"""From the settings to a storage."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import StorageError
from .base import Storage

log = logging.getLogger(__name__)

_told: set[str] = set()


def choose_storage(
    kind: str,
    options: Mapping[str, Mapping[str, Any]],
    *,
    sandbox_url: str | None,
    directory: Path | None = None,
) -> Storage:
    """The storage that the settings name. Its note goes to the log the first time.

    Args:
        kind: `kind` under [storage].
        options: the tables below [storage], by kind.
        sandbox_url: where the sandbox listens, when requests go there: then it stores as well.
        directory: the pack's own folder, for the kind comfyui.

    Raises:
        StorageError: the kind cannot be used as it is set up.
    """
    storage = make_storage(kind, options, sandbox_url=sandbox_url, directory=directory)
    if storage.note and storage.note not in _told:
        _told.add(storage.note)
        log.warning("Wan 2.7: %s", storage.note)
    return storage


def make_storage(
    kind: str,
    options: Mapping[str, Mapping[str, Any]],
    *,
    sandbox_url: str | None,
    directory: Path | None,
) -> Storage:
    """As `choose_storage`, without a word in the log."""
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
    if kind == "comfyui" and directory is not None:
        from .comfyui import ComfyStorage

        return ComfyStorage(values, directory)
    if kind in ("auto", "inline"):
        from .inline import InlineStorage

        return InlineStorage()
    if kind == "sandbox":
        raise StorageError(
            'storage.kind = "sandbox" works only where requests go to a sandbox: the service cannot fetch from it. '
            'Set another kind under [storage] in config.toml, or connection = "sandbox".'
        )
    raise StorageError(f"storage.kind = {kind!r} cannot be used here. Set another kind under [storage] in config.toml.")
