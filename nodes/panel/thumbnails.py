"""Thumbnails of saved videos, made when they are first requested.

Only for files that the ledger names. The thumbnails are kept in the pack's own folder and may be deleted at any time.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.disk import write_atomically
from ..core.folder_limit import FolderLimit

if TYPE_CHECKING:
    from ..ledger import TaskRecord

SIDE = 320
"""Pixels of the longer side: twice the size in the panel, for screens with two pixels per CSS pixel."""
KEPT = 20_000
"""Thumbnails of about 15 kB each; beyond this the oldest are deleted. More than a long list has, which would otherwise
delete and make them again whenever it is scrolled through."""
FOLDER = "posters"
"""In the pack's own folder; has the name of the route."""


def video_file(record: TaskRecord, output_dir: Path) -> Path | None:
    """Return the video of a task, or None if it is not saved, was deleted, or is outside the output folder."""
    if record.state != "saved" or not record.file:
        return None
    path = (output_dir / record.file).resolve()
    if not path.is_relative_to(output_dir.resolve()) or not path.is_file():
        return None
    return path


class Thumbnails:
    """Makes thumbnails one at a time: a page of tasks requests fifty at once, but the nodes need the processor more.

    They are made in a thread of their own, so that no other route waits for one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wan27-thumbnails")
        self._limit = FolderLimit(".jpg", files=KEPT)

    async def get(self, record: TaskRecord, *, output_dir: Path, folder: Path) -> Path | None:
        """Return a JPEG in `folder` of the video's first frame, or None without a video."""
        video = await asyncio.to_thread(video_file, record, output_dir)
        if video is None or not record.file_sha256:
            return None
        target = folder / f"{record.file_sha256[:32]}.jpg"
        if not await asyncio.to_thread(target.is_file):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._make, video, target)
        return target

    def _make(self, video: Path, target: Path) -> None:
        if not target.is_file():  # two requests may have waited for it
            _make(video, target)
            self._limit.file_added(target.parent)


def _make(video: Path, target: Path) -> None:
    from PIL import Image

    from ..media.decode.decode import DecodeOptions, decode

    decoded = decode(video, DecodeOptions(max_frames=1, max_side=SIDE, want_audio=False))
    assert decoded.last_frame is not None  # decode raises if there is none
    pixels = (decoded.last_frame[0] * 255).round().clamp(0, 255).byte().cpu().numpy()
    target.parent.mkdir(parents=True, exist_ok=True)
    jpeg = BytesIO()
    Image.fromarray(pixels).save(jpeg, format="JPEG", quality=82)
    write_atomically(target, jpeg.getvalue())
