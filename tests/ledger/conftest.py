"""The ledger's tests run the same runner and fake service as the runner's."""

from tests.runner.conftest import house, service

__all__ = ["house", "service"]
