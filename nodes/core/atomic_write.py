"""Writing files that other processes read at the same time."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from .disk import flush_to_disk, replace


def write_atomically(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees either its old or its new content. On POSIX only its owner may read it.

    With `durable`, this is true after a power loss too.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                flush_to_disk(file.fileno())
        replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
