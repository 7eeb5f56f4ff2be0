"""Is everything set up? Asks for the balance, stores a file and fetches it back, and says what a second costs.

    python -m nodes.check [FOLDER]

Run it in the pack's folder. FOLDER is where config.toml lies, or ComfyUI's folder; by default the ComfyUI that the pack
is installed in. Nothing that it does costs money.
"""

from __future__ import annotations

import asyncio
import io
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from .api.client import ServiceClient
from .api.connection import Connection
from .config.reader import FILE_NAME
from .config.settings import Settings, load_settings
from .core.addresses import is_loopback, is_private_host
from .core.errors import AuthenticationError, NotDeliveredError, SettingsError, StorageError, Wan27Error
from .core.redaction import suppress_url_logs
from .storage.factory import make_storage

if TYPE_CHECKING:
    from .media.files import MediaFile
    from .storage.base import StoredUrl

FETCH_TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=60.0, pool=10.0)
_SIDE = 256


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: "settings", "key", "storage" or "price".
        ok: False where something has to be changed.
        text: for the person who reads it; never holds a secret.
        setting: which setting to change, "" where all is well.
    """

    what: str
    ok: bool
    text: str
    setting: str = ""


@dataclass(frozen=True)
class Report:
    """What was found, in order."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For a route: {"ok": bool, "findings": [{"what", "ok", "text", "setting"}, …]}."""
        return {"ok": self.ok, "findings": [asdict(finding) for finding in self.findings]}

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines.append(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what:<9} {finding.text}")
            if finding.setting:
                lines.append(f"      {'':<9} → {finding.setting}")
        return "\n".join(lines)


async def run_check(settings: Settings, *, sandbox_url: str | None = None) -> Report:
    """Check the key, the storage and the prices as the settings are. Costs nothing, changes no settings.

    Args:
        sandbox_url: of a running sandbox, where requests go there. Without one the storage that a real key would use is
            checked all the same.
    """
    key, storage = await asyncio.gather(_check_key(settings), _check_storage(settings, sandbox_url))
    return Report((key, storage, _prices(settings)))


async def _check_key(settings: Settings) -> Finding:
    if settings.in_sandbox:
        set_it = (
            'For real videos set api_key under [novita] in config.toml (or NOVITA_API_KEY), and connection = "auto".'
        )
        return Finding("key", True, "Requests go to the sandbox, which needs no key and bills nothing.", set_it)
    novita = settings.novita
    setting = "api_key under [novita] in config.toml (or NOVITA_API_KEY)"
    try:
        connection = Connection("novita", novita.base_url, novita.api_key, novita.price_per_second)
        async with httpx.AsyncClient() as http:
            balance = await ServiceClient(connection, http).balance()
    except NotDeliveredError as error:
        return Finding("key", False, str(error), "the network, and base_url under [novita] in config.toml")
    except AuthenticationError as error:
        return Finding("key", False, str(error), setting)
    except Wan27Error as error:
        return Finding("key", False, str(error), f"{setting}, and base_url under [novita]")
    text = f"The key is good. Balance: ${balance.available_usd:.2f} available"
    if balance.outstanding_usd:
        text += f", ${balance.outstanding_usd:.2f} outstanding"
    if balance.available_usd <= 0:
        return Finding("key", False, f"{text}.", f"Top up the account at {urlsplit(novita.base_url).hostname}.")
    return Finding("key", True, f"{text}.")


async def _check_storage(settings: Settings, sandbox_url: str | None) -> Finding:
    wanted = settings.storage
    section = f"[storage.{wanted.kind}] in config.toml" if wanted.kind in wanted.options else "kind under [storage]"
    try:
        storage = make_storage(wanted.kind, wanted.options, sandbox_url=sandbox_url, directory=settings.path.parent)
        if storage.name == "inline":
            return _inline(wanted.kind)
        with TemporaryDirectory(prefix="wan27-check-", ignore_cleanup_errors=True) as folder:
            file = await asyncio.to_thread(_test_picture, Path(folder))
            stored = await storage.put(file)
            # A test service on this machine may fetch from this machine; the real one cannot.
            here = settings.in_sandbox or is_loopback(urlsplit(settings.novita.base_url).hostname)
            with suppress_url_logs():
                trouble = await _fetch_back(stored, file, may_be_private=here)
    except StorageError as error:
        return Finding("storage", False, str(error), section)
    called = storage.name.split(" ")[0]
    if trouble:
        trouble = f"The {called} storage took a file, but its public URL {trouble}"
        return Finding("storage", False, trouble, f"{section}, and public_url there where it has one")
    text = f"The {called} storage took a file and gave it back byte for byte over its public URL."
    return Finding("storage", True, f"{text} {storage.privacy_notice}".strip())


def _inline(kind: str) -> Finding:
    chosen = "No storage is set" if kind == "auto" else 'storage.kind is "inline"'
    return Finding(
        "storage",
        True,
        f"{chosen}: pictures go inside the request, undocumented by the service; audio and video cannot be sent.",
        'For audio and video set kind under [storage] in config.toml: see "Storage" in the README.',
    )


async def _fetch_back(stored: StoredUrl, file: MediaFile, *, may_be_private: bool) -> str:
    """What is wrong with the public URL, "" for nothing. Asked for as the service would: without any header of ours."""
    host = urlsplit(stored.url).hostname or ""
    wanted = await asyncio.to_thread(file.path.read_bytes)
    status, content_type, data = 0, "", b""
    try:
        async with (
            httpx.AsyncClient(timeout=FETCH_TIMEOUT, follow_redirects=True, max_redirects=3) as http,
            http.stream("GET", stored.url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            status, content_type = response.status_code, response.headers.get("Content-Type", "")
            async for part in response.aiter_bytes():
                data += part
                if len(data) > 2 * len(wanted):
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"at {host} cannot be reached from here ({type(error).__name__})."
    if status != 200:
        hint = " Something in front of it asks for a login." if status in (401, 403) else ""
        return f"at {host} answers {status}.{hint}"
    if data != wanted:
        page = " It is a web page: a login, a warning, or a page about the file." if "html" in content_type else ""
        return f"at {host} gives other bytes back ({len(data):,} instead of {len(wanted):,}).{page}"
    if is_private_host(host) and not may_be_private:
        return f"is on {host}, an address of your own network that the service cannot reach."
    return ""


def _prices(settings: Settings) -> Finding:
    if settings.in_sandbox:
        prefix = "The sandbox bills nothing. With a key, a second of video is estimated at "
    else:
        prefix = "A second of video is estimated at "
    prices = settings.novita.price_per_second
    listed = ", ".join(f"${price:g} ({resolution})" for resolution, price in prices.items())
    return Finding(
        "price", True, f"{prefix}{listed}. Change price_per_second under [novita] where your invoices differ."
    )


def _test_picture(folder: Path) -> MediaFile:
    """A small picture that no storage has seen before."""
    from PIL import Image

    from .media.files import describe

    noise = Image.frombytes("L", (_SIDE, _SIDE), secrets.token_bytes(_SIDE * _SIDE))
    buffer = io.BytesIO()
    noise.convert("RGB").save(buffer, "PNG")
    path = folder / "check.png"
    path.write_bytes(buffer.getvalue())
    return describe(path)


def find_user_dir(argument: str | None, pack: Sequence[Path]) -> Path:
    """The folder of config.toml.

    Args:
        argument: what the user named: that folder, ComfyUI's user folder, or ComfyUI's own.
        pack: where the pack may be installed; ComfyUI is two folders above.
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
        "The pack does not lie in a ComfyUI's custom_nodes here. Name the folder of ComfyUI or of config.toml: "
        "python -m nodes.check FOLDER"
    )


def main(arguments: Sequence[str], variables: Mapping[str, str] = environ) -> int:
    """Print the report. Returns 0 where all is well, 1 where something has to be changed."""
    # The shell knows the way through a symlink by which the pack was entered; the interpreter does not.
    pack = [Path(variables["PWD"])] if variables.get("PWD") else []
    pack += [Path.cwd(), Path(__file__).absolute().parents[1]]
    try:
        settings = load_settings(find_user_dir(arguments[0] if arguments else None, pack), variables)
    except SettingsError as error:
        report = Report((Finding("settings", False, str(error)),))
    else:
        report = asyncio.run(_with_settings(settings))
    sys.stdout.write(f"{report}\n")
    return 0 if report.ok else 1


async def _with_settings(settings: Settings) -> Report:
    exists = "read" if settings.path.exists() else "not there, so the defaults hold"
    first = Finding(
        "settings", not settings.warnings, f"{settings.path}: {exists}. {' '.join(settings.warnings)}".strip()
    )
    return Report((first, *(await run_check(settings)).findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
