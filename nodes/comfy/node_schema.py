"""Parts that the schemas of several nodes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from comfy_api.latest import io

from ..core.limits import AUDIO, CLIP, IMAGE, MB, ON_LIMIT

CATEGORY = "video/Wan 2.7"

IMAGE_LIMITS = (
    f"Each side {IMAGE.min_side}-{IMAGE.max_side} px, aspect at most {IMAGE.max_aspect:g}:1, file at most "
    f"{IMAGE.max_bytes // MB} MB."
)
AUDIO_LIMITS = f"{AUDIO.min_seconds:g}-{AUDIO.max_seconds:g} s, file at most {AUDIO.max_bytes // MB} MB."
CLIP_LIMITS = (
    f"{CLIP.min_seconds:g}-{CLIP.max_seconds:g} s, each side {CLIP.min_side}-{CLIP.max_side} px, aspect at most "
    f"{CLIP.max_aspect:g}:1, file at most {CLIP.max_bytes // MB} MB."
)
"""The limits of media files in the words of a tooltip."""


def supported(constructor: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Return those of `arguments` that `constructor` takes; an older core raises if it gets one it does not know."""
    known = signature(constructor).parameters
    return {name: value for name, value in arguments.items() if name in known}


def aliases(*names: str) -> dict[str, Any]:
    """Return the argument of io.Schema for other names by which ComfyUI's search finds a node, if the core has it."""
    return supported(io.Schema, search_aliases=["wan2.7", "wan27", "万相", *names])


def choice(
    name: str, options: Sequence[str], tooltip: str, *, default: str | None = None, advanced: bool = False
) -> io.Combo.Input:
    """Return a combo; the first option is the default unless another one is given.

    An `advanced` input is folded away until the user asks for it, if the core can do that.
    """
    extra = supported(io.Combo.Input, advanced=True) if advanced else {}
    return io.Combo.Input(name, options=list(options), default=default or options[0], tooltip=tooltip, **extra)


def on_limit_choice(fit: str) -> io.Combo.Input:
    """Return the combo of the upload nodes for media outside the limits. `fit` says what its option fit does."""
    tooltip = f"fit: {fit}, and report the changes on the node. error: stop with a message."
    return choice("on_limit", ON_LIMIT, tooltip)


def output(type_: Any, name: str, tooltip: str, *, is_list: bool = False, id: str | None = None) -> io.Output:
    """Return an output, labelled with its name. `id` differs from the name if an input has the same name."""
    made: io.Output = type_.Output(id or name, display_name=name, is_output_list=is_list, tooltip=tooltip)
    return made
