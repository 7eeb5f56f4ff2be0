"""What `make windows` does where wine cannot be had, and the library that it adds to an old wine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from struct import unpack_from

import pytest

from tests.windows import wine
from tests.windows.wine import REPO, forwarder, windows_path


def test_make_windows_without_wine_says_so_and_succeeds(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.windows import __main__, wine\n"
        "wine._installed = lambda: None; wine.shutil.which = lambda name: None; sys.exit(__main__.main())"
    )
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "not run: there is no wine64; install it" in done.stderr
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(("system", "machine"), [("darwin", "x86_64"), ("linux", "aarch64")])
def test_wine_is_unavailable_on_other_machines(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wine.sys, "platform", system)
    monkeypatch.setattr(wine.platform, "machine", lambda: machine)
    with pytest.raises(wine.UnavailableError, match="x86-64 Linux"):
        wine._find_wine()


def test_forwarder_is_a_library_whose_export_names_another_one() -> None:
    data = forwarder("bcryptprimitives.dll", {"ProcessPrng": "advapi32.SystemFunction036"})
    (header,) = unpack_from("<I", data, 60)
    assert data[:2] == b"MZ" and data[header : header + 4] == b"PE\0\0" and len(data) % 512 == 0
    assert b"ProcessPrng\0" in data and b"advapi32.SystemFunction036\0" in data


def test_windows_path_is_on_the_drive_that_shows_the_root() -> None:
    assert windows_path(Path("/tmp/a b/c")) == r"Z:\tmp\a b\c"
