"""Which addresses a result may be fetched from. URLs of results come over the network and can name any host."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.request import getproxies, proxy_bypass

import httpx

from .errors import DownloadError

Resolve = Callable[[str, int], Awaitable["list[str]"]]
"""From host and port to IP addresses."""

_NAT64 = ip_network("64:ff9b::/96")
_FAKE_IP = ip_network("198.18.0.0/15")
"""Reserved for benchmarks, and what proxy clients in TUN mode answer for every public name ("fake IP"). No network uses
it for hosts; to refuse it would cost their users every video."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, through the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def prefer_https(url: httpx.URL, *, allow_loopback: bool) -> httpx.URL:
    """The same URL by https where http is not fetched: hosts of files speak both, and the video is paid for.

    Port 80 becomes that of https; any other stays.
    """
    if url.scheme != "http" or allow_loopback:
        return url
    return url.copy_with(scheme="https", port=None if url.port in (None, 80) else url.port)


async def check_url(url: httpx.URL, *, allow_loopback: bool, resolve: Resolve = resolve) -> list[str]:
    """Refuse a URL that a result must not come from, and say which addresses to fetch it from.

    The caller has to connect to one of those given back, not to the name: a name can lead elsewhere a moment later.

    Args:
        url: of a result, or of a redirect.
        allow_loopback: whether http and this machine are possible; True only where base_url is on loopback itself.
        resolve: for tests.

    Returns: IP addresses in the order of preference; none where a proxy will look the name up.

    Raises:
        DownloadError: not https, with a login in it, or no public address.
        OSError: the name cannot be looked up just now.
    """
    host = url.host
    if not host or url.scheme not in ("http", "https") or (url.scheme == "http" and not allow_loopback):
        raise DownloadError(
            f"The service gave a {url.scheme or 'broken'} link for the video; only https is fetched, for your safety."
        )
    if url.userinfo:
        raise DownloadError("The service gave a link with a login in it for the video; such links are not fetched.")
    literal = _literal(host)
    if literal is None and url.scheme == "https" and goes_through_proxy(url):
        if host == "localhost" or host.endswith(".localhost"):
            raise _private(host)
        return []
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = [str(literal)] if literal is not None else await resolve(host, port)
    allowed = [
        address
        for address in addresses
        if _allowed(ip_address(address), https=url.scheme == "https", allow_loopback=allow_loopback)
    ]
    if not allowed:
        raise _private(host)
    return allowed


def goes_through_proxy(url: httpx.URL) -> bool:
    """Whether the environment names a proxy for this URL, as httpx reads it."""
    proxies = getproxies()
    if not (proxies.get(url.scheme) or proxies.get("all")):
        return False
    return not proxy_bypass(url.host)


def _allowed(address: IPv4Address | IPv6Address, *, https: bool, allow_loopback: bool) -> bool:
    address = _inner(address)
    if address.is_loopback:
        return allow_loopback
    return https and (is_public(address) or address in _FAKE_IP)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is on the internet: not private, shared, link-local, multicast, reserved or unspecified."""
    address = _inner(address)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, where it does: the packet goes there in the end."""
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


def _private(host: str) -> DownloadError:
    shown = host if len(host) <= 80 else host[:77] + "..."
    return DownloadError(
        f"The service gave a link to {shown}, which is on this machine or in a private network; such links are not "
        "fetched, for your safety."
    )
