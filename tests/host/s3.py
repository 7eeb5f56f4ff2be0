"""A real S3 server for the storage tests: OpenStack Swift with its S3 interface, in a venv of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from .cache import Cache, cache_root

SWIFT = ("swift==2.38.3", "eventlet==0.41.3", "pyeclib==1.8.0", "xattr==1.3.0", "setuptools<80")
"""Swift needs a compiled erasure code library even if it is not used; PyECLib's wheel contains it."""


def ensure() -> Path:
    """Return the Python that has Swift, built on the first call (about 12 s).

    Raises:
        SetupError: it cannot be built.
    """
    cache = Cache(cache_root())
    recipe = {"packages": SWIFT, "python": [*sys.version_info[:2], sys.base_prefix]}

    def build(folder: Path) -> None:
        cache.run(
            [sys.executable, "-m", "venv", folder],
            hint="On Debian and Ubuntu the module is a separate package: apt-get install python3-venv.",
        )
        cache.run([folder / "bin" / "python", "-m", "pip", "install", *SWIFT])

    return cache.ensure("swift", recipe, "OpenStack Swift, for the tests of the s3 storage", build) / "bin" / "python"
