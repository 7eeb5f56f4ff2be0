from __future__ import annotations

from typing import Any

import torch

from nodes.media.audio.waveform import to_float


class MpsTensor(torch.Tensor):
    """A tensor like those on Apple's GPU, which has no float64."""

    def to(self, *arguments: Any, **options: Any) -> torch.Tensor:
        if torch.float64 in (*arguments, *options.values()):
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype.")
        return super().to(*arguments, **options)

    def double(self, *_: Any, **__: Any) -> torch.Tensor:
        return self.to(torch.float64)

    def cpu(self, *_: Any, **__: Any) -> torch.Tensor:
        return self.as_subclass(torch.Tensor)


def test_to_float_takes_integers_from_a_device_without_float64() -> None:
    waveform = torch.tensor([[-32_768, 0, 16_384]], dtype=torch.int16).as_subclass(MpsTensor)
    assert to_float(waveform, name="Audio 1").tolist() == [[-1.0, 0.0, 0.5]]
