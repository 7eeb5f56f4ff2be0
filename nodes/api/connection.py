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
        dialect: how to speak to the service.
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

    The whole output is billed, and perhaps a part of the clip on top, see `limits.CLIP_BILLED_SECONDS`. The browser has
    the same formula in web/lib/rules.js.

    Args:
        duration: seconds of the whole output.
        resolution: a key of `prices`.
        prices: USD per second.
        clip: whether the video continues a clip.
        clip_seconds: length of that clip, None if it is not known.
    """
    least, most = limits.CLIP_BILLED_SECONDS
    of_clip = (most if clip_seconds is None else min(max(clip_seconds, least), most)) if clip else 0.0
    price = prices[resolution]
    return Estimate(round(duration * price, 6), round((duration + of_clip) * price, 6))


def check_base_url(url: str) -> None:
    """Refuse a base URL that is not a URL, or that would send the key over a network in clear text.

    Raises:
        RequestError: naming the setting.
    """
    setting = "base_url under [novita] in config.toml (or WAN27_NOVITA_BASE_URL)"
    parts = parse_http_url(url)
    if parts is None or parts.username or parts.query or parts.fragment:
        raise RequestError(f"{setting} is not a plain http(s) URL. The default is https://api.novita.ai.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise RequestError(
            f"{setting} is http://{parts.hostname}: the key would be readable on the way. Use https; plain http "
            "works on loopback only."
        )
