"""The hosts of the model: their names, addresses, keys and prices. Settings, panel, check and README read this table.

A host that is added here gets a section in config.toml, its environment variables, an entry in the panel and a check.
How its API is spoken is in the module of the same name in api/hosts/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .limits import PRICE_PER_SECOND_USD

SANDBOX = "sandbox"
"""The name of the connection to the sandbox, which is not a host: it bills nothing."""


@dataclass(frozen=True)
class Host:
    """One host, with the defaults of its settings.

    Attributes:
        name: of the connection, and of the section in config.toml.
        title: how to name the host to the user.
        key_variable: the environment variable of the key.
        key_page: where to get a key.
        prices: estimated USD per second of video for each resolution.
        upload_url, list_url: further addresses of the same host that get the key; "" if it has none.
        upload_scheme: of the URLs of the host's own upload, if they are not http(s). No other host reads them.
    """

    name: str
    title: str
    key_variable: str
    key_page: str
    base_url: str
    upload_url: str = ""
    list_url: str = ""
    upload_scheme: str = ""
    prices: Mapping[str, float] = field(default_factory=lambda: dict(PRICE_PER_SECOND_USD))

    def setting(self, key: str) -> str:
        """Return how to name one of its settings in a message: section, file and environment variable."""
        return f"{key} under [{self.name}] in config.toml (or {self.variable(key)})"

    def variable(self, key: str) -> str:
        """Return the environment variable of one of its settings."""
        return self.key_variable if key == "api_key" else f"WAN27_{self.name}_{key}".replace(".", "_").upper()

    @property
    def addresses(self) -> dict[str, str]:
        """Return the settings of the host that are addresses, and their defaults."""
        found = {"base_url": self.base_url, "upload_url": self.upload_url, "list_url": self.list_url}
        return {key: url for key, url in found.items() if url}


YUAN_PER_USD = 7.0
"""For estimates only."""
_IN_YUAN = {"720P": 0.09, "1080P": 0.15}
"""CNY 0.60 and 1.00, rounded up to a cent: an estimate that is too low would pass the budget."""

_TABLE = (
    Host(
        "novita",
        "Novita AI",
        "NOVITA_API_KEY",
        "https://novita.ai/settings/key-management",
        base_url="https://api.novita.ai",
    ),
    Host(
        "ppio",
        "PPIO",
        "PPIO_API_KEY",
        "https://ppio.com/settings/key-management",
        base_url="https://api.ppio.com",
        prices=_IN_YUAN,
    ),
    Host(
        "dashscope",
        "Alibaba Model Studio",
        "DASHSCOPE_API_KEY",
        "https://modelstudio.console.alibabacloud.com/",
        base_url="https://dashscope-intl.aliyuncs.com",
        upload_scheme="oss",
    ),
    Host(
        "fal",
        "fal",
        "FAL_KEY",
        "https://fal.ai/dashboard/keys",
        base_url="https://queue.fal.run",
        upload_url="https://rest.fal.ai",
        list_url="https://api.fal.ai",
    ),
    Host(
        "replicate",
        "Replicate",
        "REPLICATE_API_TOKEN",
        "https://replicate.com/account/api-tokens",
        base_url="https://api.replicate.com",
    ),
    Host(
        "kie",
        "Kie",
        "KIE_API_KEY",
        "https://kie.ai/api-key",
        base_url="https://api.kie.ai",
        upload_url="https://kieai.redpandaai.co",
        prices={"720P": 0.08, "1080P": 0.12},
    ),
)

UPLOAD_SCHEMES = tuple(f"{host.upload_scheme}://" for host in _TABLE if host.upload_scheme)
"""How URLs begin that are valid at one host only."""

HOSTS: Mapping[str, Host] = {host.name: host for host in _TABLE}
"""Every host by its name."""

AUTO_ORDER = ("dashscope", "fal", "replicate", "kie", "novita", "ppio")
"""Which host `connection = "auto"` prefers if there are keys for several: those that take uploads come first."""
