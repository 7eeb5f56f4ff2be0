"""From the settings to a storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Storage, StorageError


def choose_storage(kind: str, options: Mapping[str, Mapping[str, Any]], *, sandbox_url: str | None) -> Storage:
    """The storage that the settings name.

    Args:
        kind: `kind` under [storage].
        options: the tables below [storage], by kind.
        sandbox_url: where the sandbox listens, when requests go there: then it stores as well.

    Raises:
        StorageError: the kind cannot be used as it is set up.
    """
    if sandbox_url is not None:
        from .sandbox import SandboxStorage

        return SandboxStorage(sandbox_url)
    if kind in ("auto", "inline"):
        from .inline import InlineStorage

        return InlineStorage()
    if kind == "sandbox":
        raise StorageError(
            'storage.kind = "sandbox" works only where requests go to a sandbox: the service cannot fetch from it. '
            'Set another kind under [storage] in config.toml, or connection = "sandbox".'
        )
    raise StorageError(
        f"storage.kind = {kind!r} is not available in this version. Set another kind under [storage] in config.toml."
    )
