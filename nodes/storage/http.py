"""Any server that takes a file by PUT or by a form POST, as [storage.http] describes it."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ..config.storage_options import Options
from ..core.addresses import is_loopback
from ..core.backoff import Backoff
from ..core.errors import StorageError
from ..core.redaction import Redactor
from ..media.files import MediaFile
from .base import Progress, StoredUrl, read_chunks
from .http_upload import BACKOFF, Answer, Upload, send
from .multipart import Form

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET_HEADER = re.compile("auth|cookie|key|token|secret|pass|sign", re.IGNORECASE)
_LONGEST_URL = 4096
_NO_URL = re.compile(r"[\s<>\"]|[^\x21-\uffff]")


@dataclass(frozen=True)
class Preset:
    """An upload service whose protocol is documented, from presets.json.

    Attributes:
        title: name of the service.
        source: page that documents the protocol.
        public: whether anyone who has the link can read the file.
        limits: what the service says about size and time, for the README.
        options: keys of [storage.http]; what the user sets wins.
    """

    title: str
    source: str
    public: bool
    limits: str
    options: Mapping[str, Any]


def load_presets() -> dict[str, Preset]:
    """Return all presets by name."""
    text = Path(__file__).with_name("presets.json").read_text(encoding="utf-8")
    return {name: Preset(**fields) for name, fields in json.loads(text).items()}


class HttpStorage:
    """Uploads to one server, and finds the URL in its answer or makes it from `public_url`.

    Args:
        values: the table [storage.http].
        backoff: pauses between the attempts of an upload.

    Raises:
        StorageError: naming the setting that is missing or cannot be used.
    """

    def __init__(self, values: Mapping[str, Any], *, backoff: Backoff = BACKOFF) -> None:
        presets = load_presets()
        name = Options("http", values).text("preset")
        if name and name not in presets:
            raise StorageError(f"preset under [storage.http] is {name!r}; possible are {', '.join(presets)}.")
        self._preset = presets.get(name)
        options = Options("http", values, defaults=self._preset.options if self._preset else {})
        self._options = options
        self._backoff = backoff
        self._method = options.choice("method", ("PUT", "POST"), "PUT")
        self._url = options.check_url("url", options.require("url", "the address that takes the file"))
        self._hours = options.hours()
        self._file_field = options.text("file_field", "file")
        self._rewrite = options.table("rewrite")
        self._public_url, self._response = self._where_it_is_read(options)
        fill = self._key_filler(options.text("api_key"))
        self._headers = {key: fill("headers", value) for key, value in options.table("headers").items()}
        self._form = {key: fill("form", value) for key, value in options.table("form").items()}
        self._url = fill("url", self._url)
        self._check_headers()
        self._check_way()
        self._redactor = Redactor(self._secrets(options.text("api_key")))

    @property
    def name(self) -> str:
        """Host and a fingerprint of the addresses: neither can be taken back to a secret."""
        told = "\n".join((self._method, self._url, self._public_url, self._response))
        return f"http {urlsplit(self._url).hostname} {hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def privacy_notice(self) -> str:
        """See `Storage.privacy_notice`."""
        if self._preset is None or not self._preset.public:
            return ""
        where = f"{self._preset.title} ({urlsplit(self._url).hostname})"
        return f"Files go to {where}, where anyone who has the link can read them for {self._hours:g} hours."

    async def put(self, file: MediaFile, *, on_progress: Progress | None = None) -> StoredUrl:
        """See `Storage.put`."""
        name = f"{secrets.token_hex(16)}.{file.extension}"
        began = time.time()
        answer = await send(
            self._upload(file, name, on_progress), setting=self._options.where("url"), backoff=self._backoff
        )
        if not 200 <= answer.status < 300:
            raise StorageError(self._refusal(answer, file))
        url = self._public_url.replace("{name}", name) if self._public_url else self._url_in(answer)
        return StoredUrl(url, began + self._hours * 3600)

    def _upload(self, file: MediaFile, name: str, on_progress: Progress | None) -> Upload:
        url = self._url.replace("{name}", name)
        if self._method == "PUT":
            headers = {"Content-Type": file.mime, **self._headers}
            return Upload("PUT", url, headers, lambda: read_chunks(file, on_progress), file.size)
        fields = {key: self._filled(value, name) for key, value in self._form.items()}
        form = Form(fields, self._file_field, name, file)
        headers = {**self._headers, "Content-Type": form.content_type}
        return Upload("POST", url, headers, lambda: form.body(on_progress), form.size)

    def _filled(self, text: str, name: str) -> str:
        seconds = round(self._hours * 3600)
        return text.replace("{name}", name).replace("{hours}", f"{self._hours:g}").replace("{seconds}", str(seconds))

    def _where_it_is_read(self, options: Options) -> tuple[str, str]:
        """`public_url` and `response`, one of them "". What the user sets wins over the preset's other way."""
        response = "" if options.is_set("public_url") else options.text("response")
        public_url = "" if response else options.text("public_url")
        if public_url:
            options.check_url("public_url", public_url)
            if "{name}" not in public_url:
                raise StorageError(f"{options.where('public_url')} must have {{name}} in it: every file gets a name.")
            if "{name}" not in self._url and "{name}" not in "".join(options.table("form").values()):
                raise StorageError(f"{options.where('url')} must have {{name}} in it where public_url has one.")
        elif not response:
            raise StorageError(
                f"{options.where('public_url')} or {options.where('response')} must say where the file can be read: "
                'an address with {name} in it, or response = "text" or "json:path.to.url".'
            )
        elif response != "text" and not re.fullmatch(r"json:[^.]+(\.[^.]+)*", response):
            raise StorageError(
                f'{options.where("response")} is {response!r}; possible are "text" and "json:" with the path to the '
                'URL, such as "json:data.url".'
            )
        return public_url, response

    def _key_filler(self, api_key: str) -> Any:
        def fill(key: str, text: str) -> str:
            if "{api_key}" in text and not api_key:
                title = f" {self._preset.title}" if self._preset else ""
                raise StorageError(
                    f"{self._options.where(key)} asks for a key: set {self._options.where('api_key')} "
                    f"to your key of the upload service{title}."
                )
            return text.replace("{api_key}", api_key)

        return fill

    def _check_headers(self) -> None:
        for name, value in self._headers.items():
            if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise StorageError(
                    f"headers under [storage.http]: {name!r} is not a header, or its value is not plain text."
                )
            if name.lower() in ("host", "content-length", "transfer-encoding"):
                raise StorageError(
                    f"headers under [storage.http]: {name} cannot be set; the connection needs it itself."
                )

    def _check_way(self) -> None:
        """Refuse to send a secret in clear over a network."""
        parts = urlsplit(self._url)
        if parts.scheme != "http" or is_loopback(parts.hostname):
            return
        where = self._options.where
        fields = {
            where("api_key"): [self._options.text("api_key")],
            where("headers"): [value for name, value in self._headers.items() if _SECRET_HEADER.search(name)],
            where("form"): list(self._form.values()),
            f"the query of {where('url')}": [value for _, value in parse_qsl(parts.query)],
        }
        for field, values in fields.items():
            if any(re.sub(r"\{(name|hours|seconds)\}", "", value) for value in values):
                raise StorageError(
                    f"{where('url')} is http://{parts.hostname}, so that {field} would be readable on the way. Use "
                    "https; plain http is possible to this machine, or where nothing secret is sent along."
                )

    def _secrets(self, api_key: str) -> list[str]:
        query = [value for _, value in parse_qsl(urlsplit(self._url).query)]
        return [*self._headers.values(), *self._form.values(), *query, api_key]

    def _url_in(self, answer: Answer) -> str:
        if self._response == "text":
            found: object = answer.text.strip()
            looked = "the answer should be the URL and nothing else"
        else:
            path = self._response.removeprefix("json:")
            found, looked = _from_json(answer.text, path), f"the answer should be JSON with the URL at {path}"
        if not isinstance(found, str) or not _is_url(found):
            raise StorageError(
                f"{self._place()} took the file but gave no URL that can be used: {looked}, and it was "
                f"{self._excerpt(answer)}. Check {self._options.where('response')}."
            )
        for start, instead in self._rewrite.items():
            if found.startswith(start) and not found.startswith(instead):
                return instead + found.removeprefix(start)
        return found

    def _refusal(self, answer: Answer, file: MediaFile) -> str:
        status, where = answer.status, self._options.where
        said = f"{self._place()} answered {status}: {self._excerpt(answer)}."
        if 300 <= status < 400:
            to = urlsplit(answer.headers.get("Location", ""))
            target = self._redactor.excerpt(f"{to.scheme}://{to.hostname}{to.path}" if to.hostname else to.path)
            return (
                f"{self._place()} sends the upload on to {target or 'another place'} ({status}). Redirects are not "
                f"followed, because headers may hold a key. If that is the right address, set {where('url')} to it."
            )
        if status in (401, 403):
            return f"{said} Check headers under [storage.http] and {where('api_key')}."
        if status in (404, 405):
            return f"{said} Check {where('url')} and {where('method')} (now {self._method})."
        if status == 413:
            return f"{said} The file is too large there ({file.size:,} bytes). Set another preset or {where('url')}."
        if status == 429 or status >= 500:
            return f"{said} Try again later, or set another preset or {where('url')}."
        return f"{said} Check {where('url')}, {where('method')}, file_field and form under [storage.http]."

    def _excerpt(self, answer: Answer) -> str:
        text = answer.text.strip()
        if not text:
            return "an empty answer"
        if text[:200].lower().lstrip().startswith(("<!doctype html", "<html")):
            title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
            return f"a web page{f' titled “{self._redactor.excerpt(title[1], 80)}”' if title else ''}"
        return f"“{self._redactor.excerpt(text)}”"

    def _place(self) -> str:
        return f"The storage at {urlsplit(self._url).hostname}"


def _from_json(text: str, path: str) -> object:
    """The value at a path such as data.files.0.url, or None."""
    try:
        value: Any = json.loads(text)
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return value


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
    return good and len(text) <= _LONGEST_URL and not _NO_URL.search(text)
