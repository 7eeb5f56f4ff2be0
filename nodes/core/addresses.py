"""Which URLs and addresses are valid, on this machine, private or public, and which may serve a result."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from .errors import DownloadError

if TYPE_CHECKING:
    import httpx

Resolve = Callable[[str], Awaitable["list[str]"]]
"""Returns the IP addresses of a host."""

LOOPBACK_MOUNTS = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
"""`mounts` for an httpx client that never uses a proxy for this machine. For other hosts it uses the one of the system
without the exceptions in the settings of Windows and macOS: httpx reads only NO_PROXY."""

_NAT64 = ip_network("64:ff9b::/96")
_FAKE_IP = ip_network("198.18.0.0/15")
"""Reserved for benchmarks. Proxy clients in TUN mode resolve every public name to these ("fake IP"), and no network
uses them for hosts; refusing them would cost the users of such clients every video."""
_HOST = re.compile(rb"[A-Za-z0-9_.:-]+")
_LOCAL_SUFFIXES = (".local", ".lan", ".internal", ".localhost")


def parse_http_url(url: str) -> SplitResult | None:
    """Return the parts of an http(s) URL, or None if it is not one, has no host, or contains unprintable characters."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        return None
    return parts if valid and url.isprintable() and " " not in url else None


def is_loopback(host: str | None) -> bool:
    """Return whether a host name means this machine: from a URL, a Host header without its port, or a peer address."""
    address = _literal(host or "")
    if address is None:
        return (host or "").rstrip(".").lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is on the internet: not private, shared, link-local, multicast or reserved."""
    address = _embedded(address)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def is_private_host(host: str) -> bool:
    """Return whether a host is on this machine or in a private network, as far as its name shows it."""
    address = _literal(host)
    if address is None:
        return is_loopback(host) or host.endswith(_LOCAL_SUFFIXES)
    return not is_public(address)


async def resolve(host: str) -> list[str]:
    """Return the addresses of a host from the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def prefer_https(url: httpx.URL, *, allow_loopback: bool) -> httpx.URL:
    """Return the https form of an http URL, unless this machine is allowed: file hosts support both.

    Port 80 becomes the port of https; any other is kept.
    """
    if url.scheme != "http" or allow_loopback:
        return url
    return url.copy_with(scheme="https", port=None if url.port in (None, 80) else url.port)


async def check_url(
    url: httpx.URL, *, allow_loopback: bool, resolve: Resolve = resolve, what: str = "to the video"
) -> list[str]:
    """Return the addresses behind a URL that the service has named, or refuse it.

    The caller has to connect to one of these addresses instead of the name, which may resolve to another one later.
    They are in order of preference; there are none if a proxy will resolve the name.

    Args:
        allow_loopback: whether to allow http and this machine; True only if base_url is on loopback itself.
        what: the link is for; named in the error.

    Raises:
        DownloadError: the URL is not https, has no valid host name, contains a login, or has no public address.
        OSError: the name cannot be resolved at the moment.
    """
    host, https = url.host, url.scheme == "https"
    if not (https or (url.scheme == "http" and allow_loopback)):
        raise DownloadError(
            f"The service returned a {url.scheme or 'broken'} link {what}. For safety, only https is used."
        )
    if not _HOST.fullmatch(url.raw_host):
        raise DownloadError(f"The host name in the link {what} is not valid: {host[:80]!r}.")
    if url.userinfo:
        raise DownloadError(f"The service returned a link {what} that contains a login. It is not used.")
    literal = _literal(host)
    if literal is None and https and await asyncio.to_thread(_uses_proxy, url):
        if is_loopback(host) or host.endswith(".localhost"):
            raise _refusal(host)
        return []
    addresses = [str(literal)] if literal is not None else await resolve(host)
    allowed = [one for one in addresses if _is_allowed(ip_address(one), https=https, allow_loopback=allow_loopback)]
    if not allowed:
        raise _refusal(host)
    return allowed


def at_address(url: httpx.URL, address: str | None) -> tuple[httpx.URL, dict[str, str], dict[str, Any] | None]:
    """Return URL, headers and httpx's extensions that connect to a checked address under the host's name.

    Without an address the URL stays as it is, for a proxy to resolve.
    """
    host = {"Host": url.netloc.decode("ascii")}
    if address is None:
        return url, host, None
    return url.copy_with(host=address), host, {"sni_hostname": url.host}


def direct_mounts(host: str | None) -> dict[str, None]:
    """Return `mounts` for an httpx client that bypasses the proxy for this host if the system does. May look up names.

    httpx takes the proxy from the settings of Windows and macOS, but not its exceptions: it would use the proxy even
    for 127.0.0.1.
    """
    if not host or not (is_loopback(host) or proxy_bypass(host)):
        return {}
    return {f"all://[{host}]" if ":" in host else f"all://{host}": None}


def _uses_proxy(url: httpx.URL) -> bool:
    """Return whether a proxy is to be used for this URL, by the environment or else the system. May look up names.

    Of the settings of Windows and macOS, httpx does not read the exceptions: for an excepted host it asks the proxy
    for the address that `check_url` has returned.
    """
    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.host)


def _is_allowed(address: IPv4Address | IPv6Address, *, https: bool, allow_loopback: bool) -> bool:
    address = _embedded(address)
    if address.is_loopback:
        return allow_loopback
    return https and (is_public(address) or address in _FAKE_IP)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, if any: the packets arrive there."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _refusal(host: str) -> DownloadError:
    shown = host if len(host) <= 80 else host[:77] + "..."
    return DownloadError(
        f"The service returned a link to {shown}, which is on this machine or in a private network. For your safety "
        "such links are not used."
    )
