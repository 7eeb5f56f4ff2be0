"""Creates the storage that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..api.connection import Connection
from ..core.errors import StorageError
from .base import Storage


def make_storage(
    kind: str, options: Mapping[str, Mapping[str, Any]], *, connection: Connection, directory: Path
) -> Storage:
    """Return the storage that the settings name.

    Args:
        options: the tables below [storage], by kind.
        connection: where the requests with the files go.
        directory: the pack's own folder, for the kind comfyui.

    Raises:
        StorageError: the kind cannot be used with these settings.
    """
    values, used = options.get(kind, {}), kind_in_use(kind, connection)
    if used == "sandbox":
        from .sandbox import SandboxStorage

        if not connection.on_loopback:
            raise StorageError(
                'storage.kind = "sandbox" works only if requests go to a sandbox: the service cannot fetch from it. '
                'Set another kind under [storage] in config.toml, or connection = "sandbox".'
            )
        return SandboxStorage(connection.base_url)
    if used == "s3":
        from .s3 import S3Storage

        return S3Storage(values)
    if used == "http":
        from .http import HttpStorage

        return HttpStorage(values)
    if used == "comfyui":
        from .comfyui import ComfyStorage

        return ComfyStorage(values, directory)
    if used == "host":
        from .host import HostStorage

        return HostStorage(connection)
    from .inline import InlineStorage

    return InlineStorage(connection)


def kind_in_use(kind: str, connection: Connection) -> str:
    """Return the kind that a setting comes to with a connection; "host" is the host's own upload."""
    if connection.is_sandbox:
        return "sandbox"
    if kind != "auto":
        return kind
    return "inline" if connection.dialect.capabilities.upload_seconds is None else "host"
