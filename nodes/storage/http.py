"""Any server that takes a file by PUT or by a form POST, as [storage.http] describes it."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..config.storage_options import CHOICES, Options
from ..core.addresses import is_loopback, parse_http_url
from ..core.backoff import Backoff
from ..core.errors import StorageError
from ..core.redaction import Redactor
from ..media.files import MediaFile
from .base import OnProgress, StoredUrl, read_chunks
from .http_upload import BACKOFF, Upload, UploadResponse, send
from .multipart import Form
from .presets import load_presets

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = ("host", "content-length", "transfer-encoding")
_SECRET_HEADER = re.compile("auth|cookie|key|token|secret|pass|sign", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{(name|hours|seconds)\}")
_JSON_PATH = re.compile(r"json:[^.]+(\.[^.]+)*")
_LONGEST_URL = 4096


class HttpStorage:
    """Uploads to one server. The URL comes from its response, or is made from `public_url`.

    `values` is the table [storage.http]. Raises StorageError, which names the missing or unusable setting.
    """

    def __init__(self, values: Mapping[str, Any], *, backoff: Backoff = BACKOFF) -> None:
        presets = load_presets()
        given = Options("http", values)
        self._preset = presets[given.choice("preset", tuple(presets), "")] if given.is_set("preset") else None
        self._options = options = Options("http", values, defaults=self._preset.options if self._preset else {})
        self._label = options.label
        self._backoff = backoff
        self._api_key = options.text("api_key")
        self._method = options.choice("method", CHOICES["method"], "PUT")
        self._hours = options.hours()
        self._file_field = options.text("file_field", "file")
        self._rewrite = options.table("rewrite")
        url = options.check_url("url", options.require("url", "the address that takes the file"))
        self._public_url, self._response = self._read_location(url)
        self._headers = {key: self._with_key("headers", text) for key, text in options.table("headers").items()}
        self._form = {key: self._with_key("form", text) for key, text in options.table("form").items()}
        self._url = self._with_key("url", url)
        self._host = urlsplit(self._url).hostname
        self._query_values = [value for _, value in parse_qsl(urlsplit(self._url).query)]
        self._check_headers()
        self._check_transport()
        self._redactor = Redactor([*self._headers.values(), *self._form.values(), *self._query_values, self._api_key])

    @property
    def name(self) -> str:
        """The host, and a hash of the addresses, from which no secret can be recovered."""
        location = "\n".join((self._method, self._url, self._public_url, self._response))
        return f"http {self._host} {hashlib.sha256(location.encode()).hexdigest()[:12]}"

    @property
    def public_links(self) -> bool:
        return self._preset is not None and self._preset.public

    @property
    def privacy_notice(self) -> str:
        if self._preset is None or not self._preset.public:
            return ""
        service = f"{self._preset.title} ({self._host})"
        return f"Files go to {service}, where anyone who has the link can read them for {self._hours:g} hours."

    async def put(self, file: MediaFile, *, on_progress: OnProgress | None = None) -> StoredUrl:
        name = f"{secrets.token_hex(16)}.{file.extension}"
        started = time.time()
        upload = self._upload(file, name, on_progress)
        response = await send(upload, setting=self._label("url"), backoff=self._backoff)
        if not 200 <= response.status < 300:
            raise StorageError(self._refusal(response, file))
        url = self._public_url.replace("{name}", name) if self._public_url else self._url_from(response)
        return StoredUrl(url, started + self._hours * 3600)

    def _upload(self, file: MediaFile, name: str, on_progress: OnProgress | None) -> Upload:
        url = self._url.replace("{name}", name)
        if self._method == "PUT":
            headers = {"Content-Type": file.mime, **self._headers}
            return Upload("PUT", url, headers, lambda: read_chunks(file, on_progress), file.size)
        values = {"name": name, "hours": f"{self._hours:g}", "seconds": str(round(self._hours * 3600))}
        fields = {key: _PLACEHOLDER.sub(lambda found: values[found[1]], text) for key, text in self._form.items()}
        form = Form(fields, self._file_field, name, file)
        headers = {**self._headers, "Content-Type": form.content_type}
        return Upload("POST", url, headers, lambda: form.body(on_progress), form.size)

    def _read_location(self, url: str) -> tuple[str, str]:
        """Return `public_url` and `response`, one of them "". What the user sets wins over the preset's other way."""
        options, label = self._options, self._label
        response = "" if options.is_set("public_url") else options.text("response")
        public_url = "" if response else options.text("public_url")
        if public_url:
            options.check_url("public_url", public_url)
            if "{name}" not in public_url:
                raise StorageError(f"{label('public_url')} must contain {{name}}: every file gets a name of its own.")
            if "{name}" not in url and "{name}" not in "".join(options.table("form").values()):
                raise StorageError(f"{label('url')} must contain {{name}} if public_url does.")
        elif not response:
            raise StorageError(
                f"{label('public_url')} or {label('response')} must say where the file can be read: an address with "
                '{name} in it, or response = "text" or "json:path.to.url".'
            )
        elif response != "text" and not _JSON_PATH.fullmatch(response):
            raise StorageError(
                f'{label("response")} is {response!r}; it must be "text", or "json:" and the path to the URL, such as '
                '"json:data.url".'
            )
        return public_url, response

    def _with_key(self, setting: str, text: str) -> str:
        if "{api_key}" in text and not self._api_key:
            title = f" {self._preset.title}" if self._preset else ""
            raise StorageError(
                f"{self._label(setting)} requires a key: set {self._label('api_key')} to your key for the upload "
                f"service{title}."
            )
        return text.replace("{api_key}", self._api_key)

    def _check_headers(self) -> None:
        for name, value in self._headers.items():
            plain = value.isascii() and value.isprintable() and value == value.strip()
            if not _HEADER_NAME.fullmatch(name) or not plain:
                raise StorageError(
                    f"{self._label('headers')}: {name!r} is not a header name, or its value is not plain text without "
                    "spaces around it."
                )
            if name.lower() in _OWN_HEADERS:
                raise StorageError(f"{self._label('headers')}: {name} cannot be set, as the connection sets it.")

    def _check_transport(self) -> None:
        """Refuse to send a secret over a network in clear text."""
        if urlsplit(self._url).scheme != "http" or is_loopback(self._host):
            return
        fields = {
            self._label("api_key"): [self._api_key],
            self._label("headers"): [value for name, value in self._headers.items() if _SECRET_HEADER.search(name)],
            self._label("form"): list(self._form.values()),
            f"the query of {self._label('url')}": self._query_values,
        }
        for field, values in fields.items():
            if any(_PLACEHOLDER.sub("", value) for value in values):
                raise StorageError(
                    f"{self._label('url')} is http://{self._host}, so {field} could be read in transit. Use "
                    "https; plain http works to this machine, or if nothing secret is sent."
                )

    def _url_from(self, response: UploadResponse) -> str:
        if self._response == "text":
            found: object = response.text.strip()
            expected = "the answer should be the URL and nothing else"
        else:
            path = self._response.removeprefix("json:")
            found = _value_at(path, response.text)
            expected = f"the answer should be JSON with the URL at {path}"
        if not isinstance(found, str) or not _is_url(found):
            raise StorageError(
                f"The storage at {self._host} took the file but returned no usable URL: {expected}, and it was "
                f"{self._excerpt(response)}. Check {self._label('response')}."
            )
        for start, replacement in self._rewrite.items():
            if found.startswith(start) and not found.startswith(replacement):
                return replacement + found.removeprefix(start)
        return found

    def _refusal(self, response: UploadResponse, file: MediaFile) -> str:
        status, label = response.status, self._label
        if 300 <= status < 400:
            location, *_ = re.split("[?#]", response.headers.get("Location", ""))
            target = self._redactor.excerpt(location) or "another address"
            return (
                f"The storage at {self._host} redirects the upload to {target} ({status}). Redirects are not followed, "
                f"because headers may contain a key. If that address is right, set {label('url')} to it."
            )
        if status in (401, 403):
            advice = f"Check {label('headers')} and {label('api_key')}."
        elif status in (404, 405):
            advice = f"Check {label('url')} and {label('method')} (now {self._method})."
        elif status == 413:
            advice = f"The file is too large there ({file.size:,} bytes). Set another preset or {label('url')}."
        elif status == 429 or status >= 500:
            advice = f"Try again later, or set another preset or {label('url')}."
        else:
            advice = f"Check {label('url')}, {label('method')}, file_field and form under [storage.http]."
        return f"The storage at {self._host} answered {status}: {self._excerpt(response)}. {advice}"

    def _excerpt(self, response: UploadResponse) -> str:
        text = response.text.strip()
        if not text:
            return "an empty answer"
        if text[:200].lower().startswith(("<!doctype html", "<html")):
            title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
            return f"a web page{f' titled “{self._redactor.excerpt(title[1], 80)}”' if title else ''}"
        return f"“{self._redactor.excerpt(text)}”"


def _value_at(path: str, text: str) -> object:
    """Return the value at a path such as data.files.0.url in a JSON text, or None."""
    try:
        value: Any = json.loads(text)
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return value


def _is_url(text: str) -> bool:
    return len(text) <= _LONGEST_URL and parse_http_url(text) is not None and not set('<>"') & set(text)
