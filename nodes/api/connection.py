"""A connection: the service's address, dialect, key and prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

from ..core import limits
from ..core.addresses import is_loopback, parse_http_url
from ..core.errors import RequestError
from ..core.limits import PRICE_PER_SECOND_USD
from .dialect import Dialect
from .hosts.novita import NovitaDialect
from .request import VideoRequest


@dataclass(frozen=True)
class Connection:
    """The destination of requests. The key never shows in a repr.

    Attributes:
        name: as in the setting `connection`.
        base_url: scheme and host, without a slash at the end.
        api_key: sent to base_url only.
        prices: USD per second of video for each resolution.
    """

    name: str
    base_url: str
    api_key: str = field(repr=False)
    prices: Mapping[str, float] = field(default_factory=lambda: dict(PRICE_PER_SECOND_USD))
    dialect: Dialect = field(default_factory=NovitaDialect, repr=False)

    def __post_init__(self) -> None:
        check_base_url(self.base_url)

    @property
    def is_sandbox(self) -> bool:
        """Whether requests go to the sandbox, which bills nothing."""
        return self.name == "sandbox"

    @property
    def on_loopback(self) -> bool:
        """Whether base_url is on this machine. Only then may results come from this machine too."""
        return is_loopback(urlsplit(self.base_url).hostname)

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


def check_base_url(url: str) -> None:
    """Raise RequestError if a base URL is not a URL, or would send the key over a network in clear text."""
    setting = "base_url under [novita] in config.toml (or WAN27_NOVITA_BASE_URL)"
    parts = parse_http_url(url)
    if parts is None or parts.username or parts.query or parts.fragment:
        raise RequestError(f"{setting} is not a plain http(s) URL. The default is https://api.novita.ai.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise RequestError(
            f"{setting} is http://{parts.hostname}: the key would be readable on the way. Use https; plain http "
            "works on loopback only."
        )
