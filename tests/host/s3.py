"""A real S3 server for the storage tests: OpenStack Swift with its S3 interface, in a venv of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from .cache import Cache, cache_root

# Swift needs a compiled erasure code library even where it is not used; PyECLib's wheel brings it along.
SWIFT = ("swift==2.38.3", "eventlet==0.41.3", "pyeclib==1.8.0", "xattr==1.3.0", "setuptools<80")


def ensure() -> Path:
    """The Python that has Swift. Built once (about 12 s), then there at once. Raises SetupError."""
    cache = Cache(cache_root())
    recipe = {"packages": SWIFT, "python": [*sys.version_info[:2], sys.base_prefix]}

    def build(folder: Path) -> None:
        cache.run(
            [sys.executable, "-m", "venv", folder],
            hint="On Debian and Ubuntu the module is a package of its own: apt-get install python3-venv.",
        )
        cache.run([folder / "bin" / "python", "-m", "pip", "install", *SWIFT])

    return cache.ensure("swift", recipe, "OpenStack Swift, for the tests of the s3 storage", build) / "bin" / "python"
