"""The upload of the host itself: needs no setting but the key, and no third party gets the files.

What a host's upload looks like is in its dialect. An address that a host names for an upload is checked as the links to
videos are, and gets no key.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

import httpx

from ..api.connection import Connection
from ..api.dialect import Answer, Call, UploadFile
from ..core.addresses import Resolve, check_url, is_private_host, parse_http_url, prefer_https, resolve
from ..core.backoff import Backoff, retry_after_seconds
from ..core.errors import DownloadError, StorageError, Wan27Error
from ..core.limits import MB
from ..core.redaction import Redactor
from ..media.files import MediaFile
from .base import OnProgress, StoredUrl, read_chunks
from .http_upload import BACKOFF, Upload, UploadResponse, send
from .multipart import Form

TICKET_SECONDS = 60.0
"""How long one permission is used for further files. Hosts give them for minutes, and a large file takes its time."""

SHORTEST_SECRET = 8
"""Characters. Shorter values of a permission are words such as "private"."""

_OTHERWISE = 'If this persists, set another kind under [storage] in config.toml: see "Storage" in the README.'

Body = Callable[[], AsyncGenerator[bytes, None]]


class HostStorage:
    """Uploads to the host of a connection, as its dialect says.

    Args:
        connection: with a key, to a host that takes uploads.
        resolve, clock: of host names, and of time in seconds since 1970.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        backoff: Backoff = BACKOFF,
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection, self._dialect, self._host = connection, connection.dialect, connection.host
        self._backoff, self._resolve, self._clock = backoff, resolve, clock
        self._secrets = {connection.api_key}
        """What no error may contain: the key, and whatever makes up a permission to upload."""
        self._asking = asyncio.Lock()
        self._ticket: tuple[float, Answer] | None = None
        # Some hosts bind an upload to the account and the model.
        self.name = f"{connection.name} {self._dialect.model} {connection.account}"

    @property
    def public_links(self) -> bool:
        return self._dialect.capabilities.public_uploads

    @property
    def privacy_notice(self) -> str:
        if not self.public_links:
            return ""
        return f"Files are uploaded to {self._host.title}. Anyone who has a file's link can read it until it expires."

    async def put(self, file: MediaFile, *, on_progress: OnProgress | None = None) -> StoredUrl:
        # Equal names replace each other at some hosts.
        named = UploadFile(f"{file.sha256[:32]}.{file.extension}", file.mime, file.size)
        self._check_size(file)
        uploaded_at = self._clock()
        try:
            url = await self._upload(named, file, on_progress)
            self._check_stored(url)
            return StoredUrl(url, uploaded_at + (self._dialect.capabilities.upload_seconds or 0.0))
        except Wan27Error as error:
            said = self._redactor().redact(str(error))
        # Outside of the block: a chained exception could hold what the host said before it was redacted.
        raise StorageError(f"{self._host.title} did not take the file. {said} {_OTHERWISE}")

    def _check_size(self, file: MediaFile) -> None:
        most = self._dialect.capabilities.upload_bytes
        if most is not None and file.size > most:
            raise StorageError(
                f"{self._host.title} takes files up to {most // MB} MB, and this {file.kind} has {file.size:,} bytes. "
                "Make it smaller, or set another kind under [storage] in config.toml."
            )

    async def _upload(self, named: UploadFile, file: MediaFile, on_progress: OnProgress | None) -> str:
        ticket, is_new = await self._permission(named)
        answer = await self._transfer(named, ticket, file, on_progress)
        if answer.status == 403 and not is_new:  # the permission of an earlier file has expired
            self._ticket = None
            ticket, _ = await self._permission(named)
            answer = await self._transfer(named, ticket, file, on_progress)
        return self._dialect.read_upload(named, ticket, answer)

    async def _permission(self, named: UploadFile) -> tuple[Answer | None, bool]:
        """Return the host's permission to upload, None if it needs none, and whether it was asked for just now."""
        call = self._dialect.prepare_upload(named)
        if call is None:
            return None, True
        if not self._dialect.capabilities.shared_ticket:
            return await self._ask(call), True
        async with self._asking:
            if self._ticket is not None and self._clock() - self._ticket[0] < TICKET_SECONDS:
                return self._ticket[1], False
            ticket = await self._ask(call)
            self._dialect.upload(named, ticket)  # raises what the host said if it is not a permission
            self._ticket = self._clock(), ticket
            return ticket, True

    async def _ask(self, call: Call) -> Answer:
        content: bytes = self._connection.arguments(call)["content"] or b""

        async def body() -> AsyncGenerator[bytes, None]:
            yield content

        return await self._perform(call, body, len(content), {})

    async def _transfer(
        self, named: UploadFile, ticket: Answer | None, file: MediaFile, on_progress: OnProgress | None
    ) -> Answer:
        transfer = self._dialect.upload(named, ticket)
        if transfer is None:
            raise StorageError(f"{self._host.title} takes no uploads. {_OTHERWISE}")
        path = transfer.call.path
        self._secrets |= {*transfer.form.values(), *(path.split("/")[3:] if "://" in path else ())}
        if not transfer.file_field:
            headers = {"Content-Type": named.mime, **transfer.call.headers}
            return await self._perform(transfer.call, partial(read_chunks, file, on_progress), file.size, headers)
        form = Form(transfer.form, transfer.file_field, named.name, file)
        headers = {"Content-Type": form.content_type}
        return await self._perform(transfer.call, partial(form.body, on_progress), form.size, headers)

    async def _perform(self, call: Call, body: Body, size: int, headers: dict[str, str]) -> Answer:
        arguments = self._connection.arguments(call)
        url = httpx.URL(arguments["url"])
        if call.params:
            url = url.copy_merge_params(dict(call.params))
        addresses: Sequence[str] = ()
        if not call.with_key:
            url, addresses = await self._checked(url)
        upload = Upload(
            arguments["method"],
            str(url),
            {**arguments["headers"], **headers},
            body,
            size,
            addresses=addresses,
        )
        response = await send(
            upload,
            setting=self._host.setting(call.at),
            backoff=self._backoff,
            status_of=lambda response: self._dialect.status(self._answer(response)),
        )
        return self._answer(response)

    async def _checked(self, url: httpx.URL) -> tuple[httpx.URL, Sequence[str]]:
        """Return an address that the host has named, and where to connect to. It must be public, as a result's."""
        allow_loopback = self._connection.on_loopback
        url = prefer_https(url, allow_loopback=allow_loopback)
        try:
            return url, await check_url(
                url, allow_loopback=allow_loopback, resolve=self._resolve, what="for the upload"
            )
        except OSError as error:
            raise DownloadError(f"The host {url.host} cannot be resolved. Check the network.") from error

    def _check_stored(self, url: str) -> None:
        """Refuse the URL of a stored file that only this machine or network could read."""
        if self._host.upload_scheme and url.startswith(f"{self._host.upload_scheme}://"):
            return
        parts = parse_http_url(url)
        is_public = parts is not None and parts.scheme == "https" and not is_private_host(parts.hostname or "")
        if parts is None or not (is_public or self._connection.on_loopback):
            raise DownloadError("The address of the stored file is not a public https URL.")

    def _answer(self, response: UploadResponse) -> Answer:
        """Return a response as the dialect reads it, without the key."""
        redactor = Redactor([self._connection.api_key], shortest=SHORTEST_SECRET)
        try:
            payload = redactor.redact_json(json.loads(response.text))
        except (ValueError, RecursionError):
            payload = None
        retry_after = retry_after_seconds(response.headers.get("Retry-After"))
        return Answer(response.status, payload, response.headers, retry_after)

    def _redactor(self) -> Redactor:
        return Redactor(self._secrets, shortest=SHORTEST_SECRET)
