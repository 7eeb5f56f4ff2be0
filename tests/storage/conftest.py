"""Real S3 servers for the tests, started once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.host.s3 import ensure

KEY_ID, SECRET = "wan27:tester", "s3-secret-SECRET-0123456789"
BUCKET = "media"


@dataclass(frozen=True)
class S3Server:
    """A running Swift with its S3 interface; signatures are checked."""

    url: str
    log: Path

    def options(self, **changed: Any) -> dict[str, Any]:
        """A table [storage.s3] for this server."""
        values = {"endpoint": self.url, "bucket": BUCKET, "access_key_id": KEY_ID, "secret_access_key": SECRET}
        return {**values, **changed}


@contextmanager
def swift(folder: Path, *, seconds_ahead: float = 0) -> Iterator[S3Server]:
    script = Path(__file__).with_name("swift_server.py")
    log = folder / "swift.log"
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
        yield S3Server(f"http://127.0.0.1:{int(line)}", log)
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture(params=[3600, -7200], ids=["behind", "ahead"])
def s3_with_another_time(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Server]:
    """A server for which this computer's clock is 1 hour behind, or 2 hours ahead."""
    with swift(tmp_path, seconds_ahead=request.param) as server:
        yield server
