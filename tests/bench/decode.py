"""Speed and memory of decoding whole clips, compared with the machine's limit and with other decoders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nodes.media.decode.memory import working_bytes
from tests.media_files import detailed_clip

from .fresh import MIB, Figures, Way, interleaved
from .settings import Settings, table

FPS = 30

_WAYS = f"{__package__}.decode_ways"


@dataclass(frozen=True)
class Case:
    """One clip.

    Args:
        core: Whether core is measured with it; core takes three times the memory of the result.
        speed: Whether the goals for speed apply. Large frames are decoded one after the other to save memory.
    """

    name: str
    width: int
    height: int
    seconds: float
    bit_rate: int
    core: bool = True
    speed: bool = True

    @property
    def bytes(self) -> int:
        """The size of the frames as float32."""
        return self.width * self.height * 12 * round(self.seconds * FPS)


CASES = (
    Case("1080p 5 s", 1920, 1080, 5, 15_000_000),
    Case("720p 5 s", 1280, 720, 5, 8_000_000),
    Case("1080p 15 s", 1920, 1080, 15, 15_000_000, core=False),
    Case("4K 2 s", 3840, 2160, 2, 40_000_000, speed=False),
)
QUICK = (Case("small 1 s", 320, 192, 1, 500_000),)


def run(settings: Settings) -> None:
    """Print a table for each clip."""
    for case in QUICK if settings.quick else CASES:
        clip = detailed_clip(settings.folder / "whole.mp4", case.width, case.height, case.seconds, case.bit_rate)
        ways = _ways(case, clip, settings)
        _print(case, interleaved(ways, settings.runs))
        clip.unlink()


def _ways(case: Case, clip: Path, settings: Settings) -> dict[str, Way]:
    path, size = str(clip), case.bytes
    # More than any of them takes: the system does not hand out all that was just freed.
    ready = size + max(size // 2, min(size, 2560 * MIB))
    shape = [round(case.seconds * FPS), case.height, case.width, 3]
    ways = {
        "decoding alone (limit)": Way(f"{_WAYS}:limit", {"path": path}, touch=128 * MIB),
        "writing the tensor alone (limit)": Way(f"{_WAYS}:write", {"shape": shape}, touch=ready, needs=ready),
        "ours": Way(f"{_WAYS}:ours", {"path": path}, touch=ready, needs=ready),
    }
    if case.speed:
        ways |= {
            "VideoHelperSuite's way": Way(f"{_WAYS}:generator", {"path": path}, touch=ready, needs=ready),
            "torchcodec": Way(f"{_WAYS}:torchcodec", {"path": path}, touch=ready, needs=ready),
        }
    if case.core and settings.comfyui is not None:
        arguments = {"path": path, "tree": str(settings.comfyui)}
        ways["core"] = Way(f"{_WAYS}:core", arguments, touch=size * 3, needs=size * 13 // 4)
    return ways


def _print(case: Case, found: dict[str, Figures | str]) -> None:
    ours, core = found["ours"], found.get("core")
    limits = [figures.wall for name, figures in found.items() if "(limit)" in name and isinstance(figures, Figures)]
    rows = []
    for name, figures in found.items():
        if isinstance(figures, str):
            rows.append([name, "–", "–", "–", "–", "–", figures])
            continue
        tensors = figures.given.get("bytes", 0)
        rows.append(
            [
                name,
                f"{figures.wall:.2f} s",
                f"{figures.cpu:.2f} s",
                f"{figures.wall / max(limits):.2f}" if limits else "–",
                f"{core.wall / figures.wall:.1f}×" if isinstance(core, Figures) else "–",
                f"{figures.peak / tensors:.3f}" if tensors else "–",
                f"{(figures.peak - tensors) / MIB:+.0f} MiB" if tensors else f"{figures.peak / MIB:.0f} MiB",
            ]
        )
    head = ["way", "wall", "CPU", "of the limit", "against core", "peak / tensors", "peak - tensors"]
    table(f"{case.name}, {case.bytes / MIB:.0f} MiB of frames", head, rows)
    if isinstance(ours, Figures):
        _goals(case, found)


def _goals(case: Case, found: dict[str, Figures | str]) -> None:
    """Print each goal with the medians and with the fastest runs; on a busy machine, a difference shows noise."""
    ours, core, other = (found.get(name) for name in ("ours", "core", "VideoHelperSuite's way"))
    limits = [figures for name, figures in found.items() if "(limit)" in name and isinstance(figures, Figures)]
    assert isinstance(ours, Figures)
    tensors = ours.given["bytes"]
    above = ours.peak - tensors
    _goal("peak / tensors", ours.peak / tensors, None, most=1.04)
    _goal("MiB above the tensors", above / MIB, None, most=96)
    _goal("of what is reserved above them", above / working_bytes(case.width, case.height, 12), None, most=1)
    if case.speed:
        _speed(ours, limits, core, other)


def _speed(ours: Figures, limits: list[Figures], core: Figures | str | None, other: Figures | str | None) -> None:
    fastest = max(figures.fastest for figures in limits)
    cores = len(os.sched_getaffinity(0))
    shared = sum(figures.cpu for figures in limits) / cores / max(figures.wall for figures in limits)
    print(f"    decoding and writing share {cores} cores: together they take {shared:.2f} of the limit at best")
    _goal("of the limit", ours.wall / max(figures.wall for figures in limits), ours.fastest / fastest, most=1.35)
    if isinstance(core, Figures):
        _goal("times core's speed", core.wall / ours.wall, core.fastest / ours.fastest, least=3)
        _goal("of core's CPU", ours.cpu / core.cpu, ours.least_cpu / core.least_cpu, most=1 / 3)
    if isinstance(other, Figures):
        _goal("times VideoHelperSuite's speed", other.wall / ours.wall, other.fastest / ours.fastest, least=2.5)


def _goal(
    name: str, value: float, fastest: float | None, *, most: float | None = None, least: float | None = None
) -> None:
    met = value <= most if most is not None else value >= (least or 0)
    goal = f"≤ {most:g}" if most is not None else f"≥ {least:g}"
    beside = "" if fastest is None else f"; fastest runs {fastest:.3g}"
    print(f"    {'met ' if met else 'MISSED'} {name}: {value:.3g} ({goal}{beside})")
