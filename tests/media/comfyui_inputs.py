"""ComfyUI's IMAGE, AUDIO and VIDEO inputs, as the nodes get them."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import torch


class VideoFromComponents:
    """As ComfyUI's: tensors, which it would encode itself if it were asked for a file."""

    def __init__(self, images: torch.Tensor, fps: Any = 30, audio: Any = None) -> None:
        self._components = SimpleNamespace(images=images, audio=audio, frame_rate=fps)

    def get_components(self) -> SimpleNamespace:
        return self._components

    def get_stream_source(self) -> BytesIO:
        raise AssertionError("ComfyUI would encode here")


class FileVideo:
    """As ComfyUI's VideoFromFile."""

    def __init__(self, file: str | BytesIO, window: tuple[float, float] | None = None) -> None:
        self._file = file
        if window is not None:
            self.get_active_trim_window = lambda: window

    def get_stream_source(self) -> str | BytesIO:
        return self._file

    def get_components(self) -> Any:
        raise AssertionError("the whole clip would be decoded into memory")


def tone(seconds: float, rate: int = 48_000, channels: int = 2, hertz: float = 440.0) -> dict[str, Any]:
    """A sine at half of full scale."""
    t = torch.arange(round(seconds * rate)) / rate
    wave = 0.5 * torch.sin(2 * torch.pi * hertz * t)
    return {"waveform": wave.expand(1, channels, -1), "sample_rate": rate}


def ramp(frames: int, width: int, height: int) -> torch.Tensor:
    """Frames whose grey tells their place: frame i of n is i / (n - 1)."""
    return torch.linspace(0, 1, frames)[:, None, None, None].expand(frames, height, width, 3)
