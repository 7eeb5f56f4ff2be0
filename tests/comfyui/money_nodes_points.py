"""The moments at which the node TestKillAt can kill ComfyUI, as in its own table, which only ComfyUI can import."""

from __future__ import annotations

POINTS = (
    "reserved",
    "before the mark",
    "after the mark",
    "answered",
    "recorded",
    "first poll",
    "succeeded",
    "link recorded",
    "renamed",
    "saved",
)
IN_DOUBT = frozenset({"after the mark", "answered", "accepted"})
"""The moments after which it is unknown whether the request arrived."""
