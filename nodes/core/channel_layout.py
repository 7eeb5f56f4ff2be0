"""Orders of audio channels that FFmpeg has no name for, as editors' mov files have them: custom layouts."""

from __future__ import annotations

from typing import Any

_USUAL = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC"),
    *("TBR", "DL", "DR", "WL", "WR", "SDL", "SDR", "LFE2", "TSL", "TSR", "BFC", "BFL", "BFR"),
)
"""FFmpeg's names of the channels, in the order that WAV and all of its named layouts have them in."""


def usual_order(stream: Any) -> tuple[int, ...]:
    """Replace the custom layout of an audio stream's decoder by a mere number of channels.

    PyAV 17.1 to 18 lets every object that looks at a custom layout free it, and the process ends. So this comes before
    anything else reads the layout or the number of channels of a newly opened file, or decodes its audio.

    Returns:
        Where to find each channel of the usual order in the stream's frames. Empty if frames need no change, because
        the layout has a name or because its channels have none.
    """
    context = stream.codec_context
    layout = context.layout
    count = layout.nb_channels
    try:
        custom, names = " channels (" in layout.name, [channel.name for channel in layout.channels]
    except UnicodeDecodeError:
        custom, names = True, []
    if not custom:
        return ()
    # Does not free the old layout, which therefore belongs to `layout` alone from here on.
    context.layout = f"{count} channels"
    if len(set(names)) < count or not set(names) <= set(_USUAL):
        return ()
    order = tuple(names.index(name) for name in _USUAL if name in names)
    return order if order != tuple(range(count)) else ()
