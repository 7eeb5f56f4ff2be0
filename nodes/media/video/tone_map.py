"""HDR video (HLG and PQ) and wide colors (BT.2020 and Display P3) as a screen for BT.709 shows them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rgb import StreamColors

_WHITE_NITS = 203.0
"""Diffuse white in HDR, and the most that SDR shows (ITU-R BT.2408)."""
_PEAK_NITS = 1000.0
"""Of the HLG reference display, and of most masters in PQ."""
_STEPS = 1 << 12
_SDR_GAMMA = 2.4
"""Of the SDR reference display (ITU-R BT.1886)."""
_TO_BT709 = {
    "BT.2020": ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730)),
    "Display P3": ((1.224940, -0.224940, 0), (-0.042057, 1.042057, 0), (-0.019638, -0.078636, 1.098274)),
}
"""Linear light of other primaries to BT.709's (ITU-R BT.2087, and computed in the same way from SMPTE EG 432)."""
_LUMA = (0.2627, 0.6780, 0.0593)

Plane = NDArray[np.float32]


class ToneMapper:
    """Converts planes of HLG, PQ or wide colors to SDR as BT.709 shows it, in place.

    Of HDR, light up to a knee stays as it is, and what is brighter is compressed by the curve of ITU-R BT.2390. It
    follows the largest of the three colors, so that hues stay and none is clipped.
    """

    def __init__(self, colors: StreamColors) -> None:
        self._hdr, self._matrix = colors.hdr, _TO_BT709.get(colors.primaries)

    def __call__(self, planes: list[Plane]) -> None:
        """Convert red, green and blue, float32 in 0..1."""
        tables = _tables()
        light = [_look_up(tables[self._hdr or "SDR"], plane) for plane in planes]
        if self._hdr == "HLG":
            # The reference display's system gamma of 1.2 depends on brightness, not on color.
            luma = sum(weight * plane for weight, plane in zip(_LUMA, light, strict=True))
            gain = np.maximum(luma, 1e-6) ** np.float32(0.2) * np.float32(_PEAK_NITS / _WHITE_NITS)
            light = [plane * gain for plane in light]
        if self._matrix is not None:
            light = [
                sum(np.float32(weight) * plane for weight, plane in zip(row, light, strict=True))
                for row in self._matrix
            ]
        light = [np.maximum(plane, 0) for plane in light]
        if self._hdr:
            largest = np.maximum(np.maximum(light[0], light[1]), light[2])
            gain = _look_up(tables["curve"], np.sqrt(largest * np.float32(_WHITE_NITS / 10_000)))
            light = [plane * gain for plane in light]
        for plane, values in zip(planes, light, strict=True):
            plane[...] = _look_up(tables["signal"], np.sqrt(values))


def _look_up(table: Plane, values: Any) -> Plane:
    indexes = np.minimum(values * np.float32(_STEPS) + np.float32(0.5), np.float32(_STEPS)).astype(np.int32)
    found: Plane = table.take(indexes)
    return found


@cache
def _tables() -> dict[str, Plane]:
    """Return curves of 0..1: HLG, PQ and SDR to linear, 1 for diffuse white (HLG before its system gamma: its peak);
    the square root of light, 1 for 10,000 nits, to the factor that compresses it; and of SDR light to its signal.

    A square root has more steps where it is dark.
    """
    signal = np.linspace(0, 1, _STEPS + 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    hlg = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    light = signal**2 * 10_000
    # Below one step everything is black, whatever the factor.
    curve = _compressed(np.maximum(light, 1e-3)) / np.maximum(light, 1e-3)
    tables = {"HLG": hlg, "PQ": _nits(signal) / _WHITE_NITS, "SDR": signal**_SDR_GAMMA}
    tables |= {"curve": curve, "signal": signal ** (2 / _SDR_GAMMA)}
    return {name: table.astype(np.float32) for name, table in tables.items()}


def _compressed(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return light of up to the peak as light of up to white, by ITU-R BT.2390's curve."""
    peak, white = _pq(np.array(_PEAK_NITS)), _pq(np.array(_WHITE_NITS))
    source, most = np.minimum(_pq(nits) / peak, 1), float(white / peak)
    knee = 1.5 * most - 0.5
    t = np.clip((source - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return _nits(np.where(source < knee, source, spline) * peak)


_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128


def _pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    power = (nits / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    power = signal ** (1 / _M2)
    return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
