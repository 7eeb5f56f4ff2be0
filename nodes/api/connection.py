"""A connection: a host's addresses, dialect, key and prices. The key goes to these addresses and nowhere else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..core import limits
from ..core.addresses import is_loopback, parse_http_url
from ..core.errors import RequestError, ServerError
from ..core.hosts import HOSTS, SANDBOX, Host
from ..core.limits import PRICE_PER_SECOND_USD
from .dialect import Call, Dialect
from .hosts import dialect_of
from .request import VideoRequest
from .task import TaskHandle


@dataclass(frozen=True)
class Connection:
    """The destination of requests. The key never shows in a repr.

    Attributes:
        name: as in the setting `connection`: a host of `core.hosts`, or "sandbox".
        base_url: scheme and host, perhaps with a path, without a slash at the end.
        api_key: sent to the addresses of this connection only.
        prices: USD per second of video for each resolution.
        upload_url, list_url: further addresses of the host, "" if it has none.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    prices: Mapping[str, float] = field(default_factory=lambda: dict(PRICE_PER_SECOND_USD))
    upload_url: str = ""
    list_url: str = ""

    def __post_init__(self) -> None:
        for key, url in self._addresses().items():
            check_address(self.host, key, url)

    @property
    def host(self) -> Host:
        """The host whose settings and dialect apply. For the sandbox it is the one that the sandbox stands in for."""
        return HOSTS[self.dialect.name]

    @property
    def dialect(self) -> Dialect:
        """How the host is spoken."""
        return dialect_of(self.name)

    @property
    def account(self) -> str:
        """A short hash that tells accounts apart: enough for that, too little to find a key with."""
        return hashlib.sha256(f"{self.name} {self.base_url} {self.api_key}".encode()).hexdigest()[:12]

    @property
    def is_sandbox(self) -> bool:
        """Whether requests go to the sandbox, which bills nothing."""
        return self.name == SANDBOX

    @property
    def on_loopback(self) -> bool:
        """Whether base_url is on this machine. Only then may results come from this machine too."""
        return is_loopback(urlsplit(self.base_url).hostname)

    def arguments(self, call: Call) -> dict[str, Any]:
        """Return a call as the arguments of httpx's `request` or `stream`.

        Raises:
            ServerError: the call is to a URL that is not on an address of this connection and would get the key, or to
                something that is not a URL.
            ValueError: its JSON cannot be encoded.
        """
        is_path = call.path.startswith("/")
        if not is_path and parse_http_url(call.path) is None:
            raise ServerError(f"{self.host.title} named an address that is not an http(s) URL.")
        if not is_path and call.with_key and not self._is_own(call.path):
            raise ServerError(f"{self.host.title} named an address on another host. The key is not sent there.")
        headers = {"Authorization": f"{self.dialect.key_scheme} {self.api_key}"} if call.with_key else {}
        if call.json is not None:
            headers["Content-Type"] = "application/json"
        return {
            "method": call.method,
            "url": self._addresses()[call.at] + call.path if is_path else call.path,
            "params": call.params,
            "content": None if call.json is None else _encoded(call.json),
            "headers": {**headers, **call.headers},
        }

    def trusted(self, task: TaskHandle) -> TaskHandle:
        """Return a handle without the URLs that are not on the host of base_url: they would get the key."""
        kept = {name: url for name, url in task.kept.items() if _origin(url) == _origin(self.base_url)}
        return TaskHandle(task.task_id, kept)

    def _addresses(self) -> dict[str, str]:
        found = {"base_url": self.base_url, "upload_url": self.upload_url, "list_url": self.list_url}
        return {key: url for key, url in found.items() if url or key == "base_url"}

    def _is_own(self, url: str) -> bool:
        return _origin(url) in {_origin(own) for own in self._addresses().values()}

    @property
    def reports_balance(self) -> bool:
        """Whether the service reports the balance of the account. The sandbox has none."""
        return not self.is_sandbox and self.dialect.balance() is not None

    def estimate(self, request: VideoRequest, clip_seconds: float | None = None) -> Estimate:
        """Return the estimated cost of a request. `clip_seconds`: length of its clip, if it is known."""
        clip = bool(request.first_clip_url)
        return estimated_cost(request.duration, request.resolution, self.prices, clip=clip, clip_seconds=clip_seconds)


class Estimate(NamedTuple):
    """An estimated cost in USD. Without a clip, both ends are the same."""

    low: float
    high: float


def estimated_cost(
    duration: int,
    resolution: str,
    prices: Mapping[str, float],
    *,
    clip: bool = False,
    clip_seconds: float | None = None,
) -> Estimate:
    """Return the estimated cost: billed seconds times the price per second of the resolution.

    All `duration` seconds of the output are billed, and perhaps part of the clip too: see `limits.CLIP_BILLED_SECONDS`.
    `clip_seconds` is None if the clip's length is not known. The browser has the same formula in web/lib/rules.js.
    """
    least, most = limits.CLIP_BILLED_SECONDS
    of_clip = (most if clip_seconds is None else min(max(clip_seconds, least), most)) if clip else 0.0
    price = prices[resolution]
    return Estimate(round(duration * price, 6), round((duration + of_clip) * price, 6))


def check_address(host: Host, key: str, url: str) -> None:
    """Raise RequestError if an address is not a URL, or would send the key over a network in clear text."""
    parts = parse_http_url(url)
    if parts is None or parts.username or parts.query or parts.fragment:
        default = host.addresses.get(key)
        raise RequestError(f"{host.setting(key)} is not a plain http(s) URL. The default is {default}.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise RequestError(
            f"{host.setting(key)} is http://{parts.hostname}: the key would be readable on the way. Use https; plain "
            "http works on loopback only."
        )


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Return scheme, host and port of a URL; None if it is not one, or contains a login."""
    parts = parse_http_url(url)
    if parts is None or parts.username is not None:
        return None
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}[parts.scheme]


def _encoded(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON. Older versions of httpx would send half a surrogate pair instead of refusing it."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
