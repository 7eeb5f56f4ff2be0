"""Checks the setup: asks for the balance, stores a file and downloads it again, and shows the prices.

    python nodes/check.py [FOLDER]

Run it in the pack's folder, with the Python that runs ComfyUI. FOLDER is the folder of config.toml, or ComfyUI's; by
default that of the ComfyUI in which the pack is installed. The check costs nothing. `python -m nodes.check` works too,
but not with the Python of ComfyUI's portable build: it looks for modules in ComfyUI instead of the current folder.
"""

from __future__ import annotations

if not __package__:  # run by its path: repeat it as a module of the pack
    import runpy
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).absolute().parents[1]))
    runpy.run_module("nodes.check", run_name="__main__", alter_sys=True)

import asyncio
import io
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from os import environ
from pathlib import Path
from urllib.parse import urlsplit

from .api.connection import Connection
from .api.hosts import DIALECTS
from .api.task import Balance
from .config import FILE_NAME, Settings, load_settings
from .core.addresses import LOOPBACK_MOUNTS, direct_mounts, is_loopback, is_private_host
from .core.errors import AuthenticationError, NotDeliveredError, SettingsError, StorageError, Wan27Error
from .core.hosts import HOSTS
from .core.packages import MissingPackagesError, require_packages
from .core.redaction import suppress_url_logs
from .core.temporary import temporary_folder
from .media.files import MediaFile, describe
from .services import connection_to
from .storage import StoredUrl, kind_in_use, make_storage

_SIDE = 256
_NO_STORAGE_TO_TEST = {
    "auto": "",
    "inline": 'For audio and clips at a host, set another kind under [storage]: "inline" sends images only.',
    "sandbox": 'Before you send to a host, set another kind under [storage]: "sandbox" works in the sandbox only.',
}
"""Kinds with nothing to test while requests go to the sandbox, and what to know before they go to a host."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `text` never contains a secret; `setting` is the one to change, or ""."""

    what: str
    ok: bool
    text: str
    setting: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, in order."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing has to be changed."""
        return all(finding.ok for finding in self.findings)

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines.append(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what:<9} {finding.text}")
            if finding.setting:
                lines.append(f"      {'':<9} -> {finding.setting}")
        return "\n".join(lines)


async def run_check(settings: Settings) -> Report:
    """Check the key, the storage and the prices. Costs nothing and changes no settings.

    While requests go to the sandbox, this contacts no host. A storage of the user's own is checked all the same.
    """
    return Report(tuple(await asyncio.gather(*(check(settings) for check in CHECKS.values()))))


async def _check_key(settings: Settings) -> Finding:
    if settings.in_sandbox:
        key = settings.current.host.setting("api_key")
        advice = f'For real videos set {key}, or that of another host, and connection = "auto".'
        return Finding("key", True, "Requests go to the sandbox, which needs no key and bills nothing.", advice)
    import httpx

    from .api.client import ServiceClient

    host = settings.current.host
    key = host.setting("api_key")
    try:
        async with httpx.AsyncClient(mounts=LOOPBACK_MOUNTS) as http:  # as the runner does
            balance = await ServiceClient(connection_to(settings.current), http).check_key()
    except NotDeliveredError as error:
        return Finding("key", False, str(error), f"the network, and base_url under [{host.name}] in config.toml")
    except AuthenticationError as error:
        return Finding("key", False, str(error), key)
    except Wan27Error as error:
        return Finding("key", False, str(error), f"{key}, and base_url under [{host.name}]")
    told, ok = _balance(balance)
    text = f"The key for {host.title} is valid. {told}"
    return Finding("key", ok, text, settings.choice_note if ok else f"Top up the account at {host.title}.")


def _balance(balance: Balance | None) -> tuple[str, bool]:
    """Return a sentence on the balance, and whether there is any, as far as the host reports it."""
    if balance is None:
        return "The host does not report the balance.", True
    owed = f", ${balance.outstanding_usd:.2f} outstanding" if balance.outstanding_usd else ""
    return f"Balance: ${balance.available_usd:.2f} available{owed}.", balance.available_usd > 0


async def _check_storage(settings: Settings) -> Finding:
    kind, options = settings.storage.kind, settings.storage.options
    section = f"[storage.{kind}] in config.toml" if kind in options else "kind under [storage]"
    if settings.in_sandbox and kind in _NO_STORAGE_TO_TEST:
        return _sandbox_storage(kind)
    try:
        connection = connection_to(settings.current)
        used = kind_in_use(kind, connection)
        storage = make_storage(kind, options, connection=connection, directory=settings.path.parent)
        if used == "inline":
            return _inline(kind, storage.privacy_notice)
        with temporary_folder() as folder:
            file = await asyncio.to_thread(_test_image, folder)
            stored = await storage.put(file)
            if used == "host":
                return _host_upload(connection, storage.privacy_notice)
            # A test service on this machine can fetch from this machine; the real one cannot.
            local = settings.in_sandbox or is_loopback(urlsplit(settings.current.base_url).hostname)
            with suppress_url_logs():
                problem = await _download_again(stored, file, may_be_private=local)
    except StorageError as error:
        return Finding("storage", False, str(error), section)
    kind = storage.name.split(" ")[0]
    if problem:
        text = f"The {kind} storage took a file, but its public URL {problem}"
        return Finding("storage", False, text, f"{section}, and its public_url if it has one")
    text = f"The {kind} storage took a file and returned it byte for byte at its public URL."
    return Finding("storage", True, f"{text} {storage.privacy_notice}".strip())


def _sandbox_storage(kind: str) -> Finding:
    """Report what can be sent in the sandbox, and what needs a storage with a key."""
    text = "The sandbox takes images, audio and clips."
    if advice := _NO_STORAGE_TO_TEST[kind]:
        return Finding("storage", True, text, advice)
    takers = [name for name, dialect in DIALECTS.items() if dialect.capabilities.upload_seconds is not None]
    others = [host.title for name, host in HOSTS.items() if name not in takers]
    text += (
        f" With a key of {', '.join(takers[:-1])} or {takers[-1]} they go to the host itself; {' and '.join(others)} "
        "need a storage for audio and clips."
    )
    return Finding("storage", True, text)


def _host_upload(connection: Connection, privacy_notice: str) -> Finding:
    """Report an upload to the host. Its link is not opened: at some hosts only the model can read it."""
    hours = (connection.dialect.capabilities.upload_seconds or 0) / 3600
    text = f"{connection.host.title} took a file itself, and keeps it for {hours:g} hours. {privacy_notice}"
    return Finding("storage", True, text.strip())


def _inline(kind: str, privacy_notice: str) -> Finding:
    chosen = "No storage is set" if kind == "auto" else 'storage.kind is "inline"'
    text = f"audio and video cannot be sent. {privacy_notice}"
    advice = 'For audio and video set kind under [storage] in config.toml: see "Storage" in the README.'
    return Finding("storage", True, f"{chosen}: {text}", advice)


async def _download_again(stored: StoredUrl, file: MediaFile, *, may_be_private: bool) -> str:
    """Return what is wrong with the public URL, or "". It is requested as the service would: without our headers."""
    import httpx

    host, timeout = urlsplit(stored.url).hostname or "", httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=10.0)
    expected = await asyncio.to_thread(file.path.read_bytes)
    mounts = await asyncio.to_thread(direct_mounts, host)
    data = b""
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, follow_redirects=True, max_redirects=3, mounts=mounts) as http,
            http.stream("GET", stored.url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            async for part in response.aiter_bytes():
                data += part
                if len(data) > 2 * len(expected):
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"at {host} cannot be reached from here ({type(error).__name__})."
    if response.status_code != 200:
        hint = " Something in front of it requires a login." if response.status_code in (401, 403) else ""
        return f"at {host} answers {response.status_code}.{hint}"
    if data != expected:
        is_page = "html" in response.headers.get("Content-Type", "")
        page = " It is a web page: a login, a warning, or a page about the file." if is_page else ""
        return f"at {host} returns other bytes ({len(data):,} instead of {len(expected):,}).{page}"
    if is_private_host(host) and not may_be_private:
        return f"is on {host}, an address of your own network that the service cannot reach."
    return ""


def _price(usd: float) -> str:
    """Return a price with its cents, and with further digits if there are any."""
    return f"${usd:.2f}" if usd == round(usd, 2) else f"${usd:g}"


async def _prices(settings: Settings) -> Finding:
    prices = settings.current.price_per_second
    listed = ", ".join(f"{_price(price)} ({resolution})" for resolution, price in prices.items())
    start = "The sandbox bills nothing. With a key, a" if settings.in_sandbox else "A"
    text = f"{start} second of video is estimated at {listed}. "
    section = settings.current.host.name
    return Finding("price", True, text + f"Change price_per_second under [{section}] if your invoices differ.")


CHECKS: Mapping[str, Callable[[Settings], Awaitable[Finding]]] = {
    "key": _check_key,
    "storage": _check_storage,
    "price": _prices,
}
"""The checks by what they check, in the order of the report. None of them costs anything."""


def check_file(settings: Settings) -> Finding:
    """Return whether config.toml was read, and what in it is not a setting."""
    found = "read" if settings.path.exists() else "does not exist, so the defaults apply"
    text = f"{settings.path}: {found}. {' '.join(settings.warnings)}".strip()
    return Finding("settings", not settings.warnings, text)


def _test_image(folder: Path) -> MediaFile:
    """Write a small image that no storage has seen before."""
    from PIL import Image

    noise = Image.frombytes("L", (_SIDE, _SIDE), secrets.token_bytes(_SIDE * _SIDE))
    path = folder / "check.png"
    noise.convert("RGB").save(path)
    return describe(path)


def find_user_dir(argument: str | None, pack: Sequence[Path]) -> Path:
    """Return the folder of config.toml.

    Args:
        argument: what the user named: this folder, ComfyUI's user folder, or ComfyUI's own.
        pack: folders in which the pack may be installed; ComfyUI is two levels up.

    Raises:
        SettingsError: no folder was named, and the pack is not inside a ComfyUI.
    """
    if argument:
        root = Path(argument).expanduser()
        candidates = [root / "user" / "__wan27", root / "__wan27"]
        if (root / FILE_NAME).exists():
            return root
        return next((path for path in candidates if path.parent.is_dir() and path.parent.name == "user"), root)
    for place in pack:
        if place.parent.name == "custom_nodes":
            return place.parent.parent / "user" / "__wan27"
    raise SettingsError(
        "The pack is not in the custom_nodes folder of a ComfyUI. Name the folder of ComfyUI or of config.toml: "
        "python nodes/check.py FOLDER"
    )


def main(arguments: Sequence[str], variables: Mapping[str, str] = environ) -> int:
    """Print the report. Return 0 if nothing has to be changed, else 1."""
    # If the pack was entered through a symbolic link, the shell knows its path; the interpreter does not.
    pack = [Path(variables["PWD"])] if variables.get("PWD") else []
    pack += [Path.cwd(), Path(__file__).absolute().parents[1]]
    try:
        require_packages()
        settings = load_settings(find_user_dir(arguments[0] if arguments else None, pack), variables)
    except MissingPackagesError as error:
        report = Report((Finding("packages", False, str(error)),))
    except SettingsError as error:
        report = Report((Finding("settings", False, str(error)),))
    else:
        report = Report((check_file(settings), *asyncio.run(run_check(settings)).findings))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Windows writes to a file or a pipe in a code page that lacks some letters of a path.
        sys.stdout.reconfigure(errors="replace")
    sys.stdout.write(f"{report}\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
