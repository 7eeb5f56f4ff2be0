"""From a request to the inputs of a host, and back: a table of names is all that differs between hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .json_values import Json
from .request import VideoRequest

Names = Mapping[str, str]
"""The fields of `VideoRequest` that a host has, and its own names for them. What is not in here is left out."""


def to_inputs(request: VideoRequest, names: Names, *, resolution: Callable[[str], str] = str) -> dict[str, Json]:
    """Return the inputs in the host's names. Fields that are not set are left out, never sent as null or "".

    `resolution` writes 720P or 1080P as the host does.
    """
    values = {**vars(request), "resolution": resolution(request.resolution)}
    return {theirs: values[ours] for ours, theirs in names.items() if values[ours] not in (None, "")}


def from_inputs(inputs: Mapping[str, Json], names: Names) -> dict[str, Any]:
    """Return inputs that a host repeats in our own names and values. What a host adds of its own is left out."""
    found = {ours: inputs[theirs] for ours, theirs in names.items() if inputs.get(theirs) not in (None, "")}
    if isinstance(found.get("resolution"), str):
        found["resolution"] = found["resolution"].upper()
    return found
