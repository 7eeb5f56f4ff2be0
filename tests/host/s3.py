"""A real S3 server for the storage tests: OpenStack Swift with its S3 interface, in a venv of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cache import Cache, cache_root

SWIFT = ("swift==2.38.3", "eventlet==0.41.3", "pyeclib==1.8.0", "xattr==1.3.0", "setuptools<80")
"""Swift needs a compiled erasure code library even if it is not used; PyECLib's wheel contains it."""

KEY_ID, SECRET = "wan27:tester", "s3-secret-SECRET-0123456789"
BUCKET = "media"


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


@dataclass(frozen=True)
class S3Server:
    """A running Swift with its S3 interface; signatures are checked."""

    url: str

    def options(self, **changed: Any) -> dict[str, Any]:
        """A table [storage.s3] for this server."""
        values = {"endpoint": self.url, "bucket": BUCKET, "access_key_id": KEY_ID, "secret_access_key": SECRET}
        return {**values, **changed}


@contextmanager
def swift(folder: Path, *, seconds_ahead: int = 0) -> Iterator[S3Server]:
    """Run a server with its files in `folder`."""
    log = folder / "swift.log"
    script = Path(__file__).resolve().parents[1] / "storage" / "swift_server.py"
    command = [str(ensure()), "-W", "ignore", str(script), str(folder / "state"), KEY_ID, SECRET, BUCKET]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, str(seconds_ahead)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        assert process.stdin and process.stdout
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"Swift did not start:\n{log.read_text()[-3000:]}")
        yield S3Server(f"http://127.0.0.1:{int(line)}")
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
