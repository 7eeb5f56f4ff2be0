"""Speed, size and memory of encoding uploads, compared with Pillow and ComfyUI core."""

from __future__ import annotations

from typing import Any

from tests.media_files import detailed_clip

from .fresh import MIB, Figures, Way, interleaved
from .settings import Settings, table

_WAYS = f"{__package__}.encode_ways"
_IMAGES = {"1080p": (1920, 1080), "4K": (3840, 2160), "8000×4500": (8000, 4500)}
_QUICK_IMAGES = {"small": (320, 240)}
_ANY_SIZE = 10**9


def run(settings: Settings) -> None:
    """Print the tables for images, for a clip from memory and for clips from files."""
    for name, size in (_QUICK_IMAGES if settings.quick else _IMAGES).items():
        _images(name, size, settings)
    _clip_of_tensors(settings)
    _clip_of_files(settings)


def _images(name: str, size: tuple[int, int], settings: Settings) -> None:
    given = {"image": size}
    spare = size[0] * size[1] * 48
    ways = {
        "Pillow's PNG, from 8 bits": Way(f"{_WAYS}:pillow_png", given, touch=spare),
        "our PNG, from 8 bits": Way(f"{_WAYS}:our_png", given, touch=spare),
        "core's expression + Pillow's PNG": Way(f"{_WAYS}:core_png", given, touch=spare),
        "ours as PNG, float to file": _image(given, "png", _ANY_SIZE, spare),
        "ours as auto, float to file": _image(given, "auto", 20_000_000, spare),
    }
    found = interleaved(ways, settings.runs)
    pillow, ours = found["Pillow's PNG, from 8 bits"], found["our PNG, from 8 bits"]
    rows = []
    for way, figures in found.items():
        if isinstance(figures, str):
            rows.append([way, "–", "–", "–", "–", figures])
            continue
        speed = f"{pillow.wall / figures.wall:.1f}×" if isinstance(pillow, Figures) else "–"
        rows.append(
            [
                way,
                f"{figures.wall:.3f} s",
                f"{figures.given['size'] / 1e6:.2f} MB {figures.given.get('extension', '')}".strip(),
                speed,
                f"{figures.peak / MIB:.0f} MiB",
                f"{(figures.peak + figures.given['input']) / figures.given['input']:.2f}",
            ]
        )
    table(name, ["way", "wall", "file", "against Pillow", "peak above input", "peak / input"], rows)
    if isinstance(pillow, Figures) and isinstance(ours, Figures):
        _goal("times Pillow's speed", pillow.wall / ours.wall, "≥", 2)
        _goal("of Pillow's size", ours.given["size"] / pillow.given["size"], "≤", 1.1)


def _image(given: dict[str, Any], format: str, max_bytes: int, spare: int) -> Way:
    return Way(f"{_WAYS}:our_image", {**given, "format": format, "max_bytes": max_bytes}, touch=spare)


def _clip_of_tensors(settings: Settings) -> None:
    width, height, seconds = (320, 192, 3) if settings.quick else (1920, 1080, 10)
    source = detailed_clip(settings.folder / "reference.mp4", width, height, seconds, 30_000_000)
    frames = width * height * 12 * seconds * 30
    ways = {}
    for name, function in (("ours", "our_clip"), ("core", "core_clip")):
        if name == "core" and settings.comfyui is None:
            continue
        arguments = {"frames_of": str(source), "target": str(settings.folder / f"{name}.mp4")}
        if name == "core":
            arguments["tree"] = str(settings.comfyui)
        ways[name] = Way(f"{_WAYS}:{function}", arguments, needs=frames * 5 // 4 + 1024 * MIB)
    found = interleaved(ways, min(settings.runs, 3))
    rows, near = [], {}
    for name, figures in found.items():
        if isinstance(figures, str):
            rows.append([name, "–", "–", "–", "–", figures])
            continue
        pair = {"path": str(source), "other": str(settings.folder / f"{name}.mp4")}
        compared = interleaved({name: Way(f"{_WAYS}:psnr", pair)}, 1)[name]
        near[name] = compared.given["psnr"] if isinstance(compared, Figures) else float("nan")
        size = f"{figures.given['size'] / 1e6:.1f} MB"
        peak = f"{figures.peak / MIB:.0f} MiB"
        rows.append([name, f"{figures.wall:.1f} s", f"{figures.cpu:.1f} s", size, f"{near[name]:.1f} dB", peak])
    head = ["way", "wall", "CPU", "file", "PSNR", "peak above the tensors"]
    table(f"{seconds} s of {width}×{height} from {frames / MIB:.0f} MiB of frames", head, rows)
    ours, core = found["ours"], found.get("core")
    if isinstance(ours, Figures):
        _goal("MiB above the tensors", ours.peak / MIB, "≤", 286)
        if isinstance(core, Figures):
            _goal("of core's CPU", ours.cpu / core.cpu, "≤", 0.5)
            _goal("dB better than core", near["ours"] - near["core"], "≥", 2)


def _clip_of_files(settings: Settings) -> None:
    width, height, lengths = (320, 192, (2, 4)) if settings.quick else (1920, 1080, (5, 20))
    ways = {}
    for seconds in lengths:
        source = detailed_clip(settings.folder / f"{seconds}.mkv", width, height, seconds, 15_000_000)
        ways[f"{seconds} s"] = Way(f"{_WAYS}:our_file", {"path": str(source)})
    found = interleaved(ways, 1)
    rows = [
        [name, f"{figures.wall:.1f} s", f"{figures.cpu:.1f} s", f"{figures.peak / MIB:.0f} MiB"]
        if isinstance(figures, Figures)
        else [name, "–", "–", figures]
        for name, figures in found.items()
    ]
    table(f"Files of {width}×{height} encoded again", ["length", "wall", "CPU", "peak"], rows)
    short, long = found.values()
    if isinstance(short, Figures) and isinstance(long, Figures):
        _goal("MiB more for four times the length", (long.peak - short.peak) / MIB, "≤", 32)


def _goal(name: str, value: float, sign: str, goal: float) -> None:
    met = value <= goal if sign == "≤" else value >= goal
    print(f"    {'met ' if met else 'MISSED'} {name}: {value:.3g} ({sign} {goal})")
