"""The cost of decoding parts of a clip, and the time until an interrupt takes effect."""

from __future__ import annotations

from tests.media_files import detailed_clip

from .fresh import MIB, Figures, Way, interleaved
from .settings import Settings, table

FPS = 30

_WAYS = f"{__package__}.decode_ways"


def run(settings: Settings) -> None:
    """1080p 15 s as a whole, as parts of it, and as its last frame alone; then the interrupt."""
    width, height, seconds = (320, 192, 2) if settings.quick else (1920, 1080, 15)
    clip = detailed_clip(settings.folder / "parts.mp4", width, height, seconds, 15_000_000)
    short = detailed_clip(settings.folder / "short.mp4", width, height, seconds, 15_000_000, gop=FPS)
    path = str(clip)
    small = {"every_nth": 5, "max_side": 640}
    whole = width * height * 12 * seconds * FPS
    ways = {
        "decoding alone": Way(f"{_WAYS}:limit", {"path": path}, touch=128 * MIB),
        "every_nth 5, max_side 640": Way(f"{_WAYS}:ours", {"path": path, **small}, touch=256 * MIB),
        "start_time 10, duration 1": Way(
            f"{_WAYS}:ours", {"path": path, "start_time": seconds * 2 / 3, "duration": 1}, touch=whole // seconds
        ),
        "the same, a key frame every second": Way(
            f"{_WAYS}:ours", {"path": str(short), "start_time": seconds * 2 / 3, "duration": 1}, touch=whole // seconds
        ),
        "last frame alone": Way(
            f"{_WAYS}:ours", {"path": path, "want_images": False, "want_last_frame": True}, touch=128 * MIB
        ),
        "the same, a key frame every second ": Way(
            f"{_WAYS}:ours", {"path": str(short), "want_images": False, "want_last_frame": True}, touch=128 * MIB
        ),
        "audio alone": Way(f"{_WAYS}:ours", {"path": path, "want_images": False}, touch=128 * MIB),
    }
    found = interleaved(ways, settings.runs)
    limit = found["decoding alone"]
    rows = []
    for name, figures in found.items():
        if isinstance(figures, str):
            rows.append([name, "–", "–", "–", "–", figures])
            continue
        given = figures.given.get("bytes", 0)
        part = f"{figures.wall / limit.wall:.2f}" if isinstance(limit, Figures) else "–"
        rows.append(
            [
                name,
                f"{figures.wall:.2f} s",
                f"{figures.cpu:.2f} s",
                part,
                f"{given / MIB:.1f}",
                f"{figures.peak / MIB:.0f}",
            ]
        )
    head = ["part", "wall", "CPU", "of decoding all", "output, MiB", "peak, MiB"]
    table(f"{height}p {seconds} s in parts ({whole / MIB:.0f} MiB as a whole)", head, rows)
    heard = interleaved({"interrupt": Way(f"{_WAYS}:interrupt", {"path": path})}, settings.runs)["interrupt"]
    if isinstance(heard, Figures):
        late = heard.given["seconds"]
        # The node checks the interrupt button every 100 ms, which leaves this much of half a second.
        print(f"    {'met ' if late <= 0.4 else 'MISSED'} s until decoding ends after an interrupt: {late:.3f} (≤ 0.4)")
