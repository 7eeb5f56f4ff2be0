"""One module for each host of the model: its dialect, with all paths, fields and codes."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.hosts import SANDBOX
from ..dialect import Dialect
from .dashscope import DashscopeDialect
from .fal import FalDialect
from .kie import KieDialect
from .novita import NovitaDialect, PpioDialect
from .replicate import ReplicateDialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        NovitaDialect(),
        PpioDialect(),
        DashscopeDialect(),
        FalDialect(),
        ReplicateDialect(),
        KieDialect(),
    )
}
"""The dialect of each host, by its name."""


def dialect_of(connection: str) -> Dialect:
    """Return the dialect of a connection by its name. The sandbox speaks that of the first host."""
    return DIALECTS["novita" if connection == SANDBOX else connection]
