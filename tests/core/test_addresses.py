from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from nodes.core import addresses
from nodes.core.addresses import check_url, direct_mounts, is_loopback, is_private_host
from nodes.core.errors import DownloadError


def check(url: str, *addresses: str, allow_loopback: bool = False) -> list[str]:
    async def resolve(host: str) -> list[str]:
        return list(addresses)

    return asyncio.run(check_url(httpx.URL(url), allow_loopback=allow_loopback, resolve=resolve))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "198.18.0.7"])
def test_check_url_returns_public_addresses(address: str) -> None:
    assert check("https://cdn.test/v.mp4", address) == [address]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.5.5",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
def test_check_url_refuses_other_addresses_by_name_and_as_literals(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    for url, found in ((f"https://{literal}/v.mp4", []), ("https://looks-public.test/v.mp4", [address])):
        with pytest.raises(DownloadError, match="private network"):
            check(url, *found)


def test_check_url_returns_only_the_public_addresses_of_a_host() -> None:
    assert check("https://cdn.test/v.mp4", "10.0.0.1", "93.184.216.34") == ["93.184.216.34"]


@pytest.mark.parametrize(
    "url", ["http://cdn.test/v.mp4", "ftp://cdn.test/v.mp4", "file:///etc/passwd", "//cdn.test/v.mp4", "v.mp4"]
)
def test_check_url_refuses_everything_but_https(url: str) -> None:
    with pytest.raises(DownloadError, match="only https"):
        check(url, "93.184.216.34")


@pytest.mark.parametrize("url", ["https://a b.test/", "https://a~b.test/", "https:///v.mp4", "https://[broken/"])
def test_check_url_refuses_a_broken_host_name_without_looking_it_up(url: str) -> None:
    async def resolve(host: str) -> list[str]:
        pytest.fail(f"{host} was looked up")

    with pytest.raises(DownloadError, match="host name in the link to the video is not valid"):
        asyncio.run(check_url(httpx.URL(url), allow_loopback=False, resolve=resolve))


@pytest.mark.parametrize("host", ["xn--11b4c3d.xn--h2brj9c", "münchen.test", "a_b.test", "[2606:4700::1111]"])
def test_check_url_accepts_every_host_name_that_can_be_looked_up(host: str) -> None:
    assert check(f"https://{host}/v.mp4", "2606:4700::1111") == ["2606:4700::1111"]


def test_check_url_refuses_a_login() -> None:
    with pytest.raises(DownloadError, match="login"):
        check("https://user:password@cdn.test/v.mp4", "93.184.216.34")


def test_check_url_allows_this_machine_if_the_service_is_on_it() -> None:
    assert check("http://127.0.0.1:9/v.mp4", allow_loopback=True) == ["127.0.0.1"]
    assert check("http://localhost:9/v.mp4", "::1", allow_loopback=True) == ["::1"]
    assert check("https://cdn.test/v.mp4", "93.184.216.34", allow_loopback=True) == ["93.184.216.34"]
    for url, address in (
        ("http://cdn.test/v.mp4", "93.184.216.34"),
        ("http://printer.test/v.mp4", "192.168.1.9"),
        ("https://printer.test/v.mp4", "192.168.1.9"),
    ):
        with pytest.raises(DownloadError):
            check(url, address, allow_loopback=True)


def test_check_url_leaves_the_lookup_to_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "inside.test")
    assert check("https://cdn.test/v.mp4", "10.0.0.1") == []
    for url in ("https://localhost/v.mp4", "https://10.0.0.1/v.mp4", "https://inside.test/v.mp4"):
        with pytest.raises(DownloadError):
            check(url, "10.0.0.1")


def test_check_url_lets_the_event_loop_go_on_while_names_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and macOS look up names to decide whether a host is an exception of the proxy settings."""
    looked_up = threading.Event()
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setattr(addresses, "proxy_bypass", lambda host: not looked_up.wait(60))

    async def work() -> list[str]:
        asyncio.get_running_loop().call_later(0.01, looked_up.set)
        return await check_url(httpx.URL("https://cdn.test/v.mp4"), allow_loopback=False)

    assert asyncio.run(work()) == []


@pytest.mark.parametrize(
    ("host", "loopback", "private"),
    [
        ("127.0.0.1", True, True),
        ("127.9.9.9", True, True),
        ("::1", True, True),
        ("[::1]", True, True),
        ("::ffff:127.0.0.1", True, True),
        ("64:ff9b::7f00:1", False, True),
        ("localhost", True, True),
        ("LOCALHOST.", True, True),
        ("10.0.0.1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("printer.lan", False, True),
        ("pod.internal", False, True),
        ("localhost.example", False, False),
        ("localhost.example.com", False, False),
        ("93.184.216.34", False, False),
        ("", False, False),
    ],
)
def test_is_loopback_and_is_private_host(host: str, loopback: bool, private: bool) -> None:
    assert (is_loopback(host), is_private_host(host)) == (loopback, private)


def test_is_loopback_without_a_host() -> None:
    assert not is_loopback(None)


@pytest.mark.parametrize(
    ("host", "mounts"),
    [
        ("127.0.0.1", {"all://127.0.0.1": None}),
        ("::1", {"all://[::1]": None}),
        ("localhost", {"all://localhost": None}),
        ("nas.test", {"all://nas.test": None}),
        ("example.test", {}),
        (None, {}),
    ],
)
def test_direct_mounts_bypass_the_proxy_as_the_system_does(
    host: str | None, mounts: dict[str, None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows and macOS have a list of exceptions, which httpx does not read."""
    monkeypatch.setattr(addresses, "proxy_bypass", lambda name: name == "nas.test")
    assert direct_mounts(host) == mounts
