"""A process that decodes, uploads and joins the video files whose paths it reads, one a line.

    python -m tests.media.fuzz.worker FOLDER

For each file it prints one JSON line: what came of it, and how much memory it took at most. The files that an upload
would send are created in FOLDER and removed again.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch  # noqa: F401 - loaded before time and memory count

from nodes.core import limits
from nodes.core.disk import remove
from nodes.media.clip.encode import encode_clip
from nodes.media.decode.decode import DecodeOptions, decode
from nodes.media.files import MediaCancelled, MediaError
from nodes.media.join.film import JoinOptions
from nodes.media.join.join import join_videos
from nodes.sandbox.inspect import InvalidMediaError, inspect_media
from nodes.sandbox.render.soundtrack import Recording
from tests.media.comfyui_inputs import FileVideo

MIB = 1 << 20
MEMORY_LIMIT = 512 * MIB
"""What decoding may take: given to it as its limit."""
MOST_FRAMES = 500
"""Frames of a film after which the joining is interrupted."""
ANSWER = "answer: "
CRASH = "crash on purpose"
"""The name of a file that ends the process, to see that this is noticed."""


def main(folder: Path) -> None:
    """Answer until the input ends. The first answer, to nothing, says that all is imported."""
    print(ANSWER + "{}", flush=True)
    for line in sys.stdin:
        if line.endswith(CRASH + "\n"):
            os.abort()
        _forget_peak()
        before = _memory("VmRSS")
        outcomes = _outcomes(Path(line.rstrip("\n")), folder)
        answer = {"outcomes": outcomes, "memory": max(0, _memory("VmHWM") - before)}
        print(ANSWER + json.dumps(answer), flush=True)  # libraries print too
        for left in folder.iterdir():
            if left.is_dir():  # of a process that was ended in a join
                shutil.rmtree(left, ignore_errors=True)
            else:
                remove(left)


def _outcomes(path: Path, folder: Path) -> list[str]:
    """Do with a file what the nodes and the sandbox would do. Return "ok", "refused" or a traceback for each."""
    video = FileVideo(str(path))
    film = folder / "film.mp4"
    everything = JoinOptions(drop_repeated=True, crossfade_seconds=0.5, match_colors=True)
    ways: list[Callable[[], Any]] = [
        lambda: decode(path, memory_limit=MEMORY_LIMIT),
        lambda: decode(path, DecodeOptions(want_images=False, want_audio=False), memory_limit=MEMORY_LIMIT),
        lambda: decode(path, DecodeOptions(start_time=1.1, duration=0.5, every_nth=2), memory_limit=MEMORY_LIMIT),
        lambda: encode_clip(video, limits.CLIP, directory=folder),
        lambda: encode_clip(FileVideo(str(path), (0.1, 0.0)), limits.CLIP, directory=folder),
        lambda: _join(video, film, JoinOptions()),
        lambda: _join(video, film, everything),
        lambda: inspect_media(path, "first_clip_url"),
    ]
    outcomes = [_outcome(way) for way in ways]
    if outcomes[-1] == "ok":
        # The sandbox makes a failed task of any error.
        with suppress(Exception):
            Recording(path, 48_000).read(96_000)
    return outcomes


def _join(video: FileVideo, path: Path, options: JoinOptions) -> None:
    """Join a video with itself, and stop after some frames: a damaged time makes hours of one frame."""
    done: deque[int] = deque([0], 1)
    with suppress(MediaCancelled):
        join_videos(
            [video, video],
            path,
            options,
            cancelled=lambda: done[0] > MOST_FRAMES,
            on_progress=lambda count, total: done.append(count),
        )


def _outcome(way: Callable[[], Any]) -> str:
    try:
        way()
    except (MediaError, InvalidMediaError):
        return "refused"
    except Exception:
        return traceback.format_exc(limit=-6)
    return "ok"


def _memory(name: str) -> int:
    """Return a figure of /proc/self/status in bytes; 0 if the system has none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
