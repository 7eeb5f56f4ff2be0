"""PPIO: Novita's protocol on the same routes."""

from __future__ import annotations

from tests.hosts.novita import Novita


class Ppio(Novita):
    name = "ppio"
    key_variable = "PPIO_API_KEY"
