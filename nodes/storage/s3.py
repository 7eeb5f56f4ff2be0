"""Any S3-compatible bucket. Objects stay private: the service gets links that are signed for a limited time.

obstore signs; the bytes go through the same streaming upload as in every other storage. One PUT is atomic, so an
interrupted upload leaves neither a partial object nor parts that are billed forever.
"""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..config.storage_options import CHOICES, Options
from ..core.backoff import Backoff
from ..core.errors import StorageError
from ..core.redaction import Redactor
from ..media.files import MediaFile
from .base import OnProgress, StoredUrl, read_chunks
from .http_upload import BACKOFF, Upload, UploadResponse, send

LONGEST_HOURS = 24 * 7
"""The maximum of Signature Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""

PUT_MINUTES = 15
"""Validity of the link for the upload itself."""

MOST_SKEW_SECONDS = 15 * 60
"""S3 refuses requests with a larger clock difference: RequestTimeTooSkewed."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]*")
_VIRTUAL_HOSTS = (".aliyuncs.com",)
"""Hosts that refuse the bucket in the path: https://www.alibabacloud.com/help/en/oss/developer-reference/use-amazon-s3-sdks-to-access-oss"""


class S3Storage:
    """Uploads to one bucket. `values` is the table [storage.s3], with the AWS variables merged in.

    Raises:
        StorageError: names the setting that is missing or cannot be used, or the command that installs obstore.
    """

    public_links, privacy_notice = False, ""

    def __init__(self, values: Mapping[str, Any], *, backoff: Backoff = BACKOFF) -> None:
        options = Options("s3", values)
        self._options, self._backoff = options, backoff
        self._bucket = options.require("bucket", "a bucket")
        if not _BUCKET.fullmatch(self._bucket):
            raise StorageError(
                f"{options.label('bucket')} is {self._bucket!r}; it must be the name of a bucket, such as my-bucket."
            )
        self._key_id = options.require("access_key_id", "a key (AWS_ACCESS_KEY_ID works too)")
        self._secret = options.require("secret_access_key", "the secret of the key (AWS_SECRET_ACCESS_KEY works too)")
        self._token = options.text("session_token")
        self._endpoint = self._read_endpoint(options.text("endpoint"))
        self._region = options.text("region", "us-east-1")
        self._prefix = self._read_prefix(options.text("prefix", "wan27/"))
        self._hours = options.hours(high=LONGEST_HOURS)
        addressing = options.choice("addressing", CHOICES["addressing"], "auto")
        self._virtual = addressing == "virtual" or (addressing == "auto" and self._needs_virtual())
        self._redactor = Redactor([self._secret, self._token])
        self.name = f"s3 {self._endpoint or 'aws ' + self._region} {self._bucket}/{self._prefix}"
        _import_obstore()

    async def put(self, file: MediaFile, *, on_progress: OnProgress | None = None) -> StoredUrl:
        # One PUT carries at most 5 GB, far more than the service accepts.
        key = f"{self._prefix}{secrets.token_hex(16)}.{file.extension}"
        signed = await self.sign("PUT", key, timedelta(minutes=PUT_MINUTES))
        upload = Upload("PUT", signed, {"Content-Type": file.mime}, lambda: read_chunks(file, on_progress), file.size)
        response = await send(upload, setting=self._options.label("endpoint"), backoff=self._backoff)
        skew = _skew_seconds(response)
        # A link that is signed by a clock ahead of the bucket's is refused for that time, although the PUT may succeed.
        if response.status != 200 or abs(skew) > MOST_SKEW_SECONDS:
            raise StorageError(self._refusal(response, skew))
        expires_at = time.time() + self._hours * 3600
        return StoredUrl(await self.sign("GET", key, timedelta(hours=self._hours)), expires_at)

    async def sign(self, method: str, key: str, valid: timedelta) -> str:
        """Return a link that allows one method on one object for a time."""
        obstore = _import_obstore()
        problem = ""
        try:
            url: str = await obstore.sign_async(self._store(), method, key, valid)
        except (obstore.exceptions.BaseError, ValueError) as error:
            problem = self._redactor.excerpt(str(error))
        if problem:  # outside of the handler: a chained exception would show its arguments
            raise StorageError(f"No link to the bucket could be signed: {problem}. Check [storage.s3].")
        return url

    def _store(self) -> Any:
        from obstore.store import S3Store

        endpoint = self._endpoint
        if endpoint and self._virtual:
            parts = urlsplit(endpoint)
            endpoint = urlunsplit(parts._replace(netloc=f"{self._bucket}.{parts.netloc}"))
        optional = {"session_token": self._token, "endpoint": endpoint}
        return S3Store(
            self._bucket,
            region=self._region,
            access_key_id=self._key_id,
            secret_access_key=self._secret,
            virtual_hosted_style_request=self._virtual,
            client_options={"allow_http": True},
            **{name: value for name, value in optional.items() if value},
        )

    def _needs_virtual(self) -> bool:
        if self._endpoint:
            return (urlsplit(self._endpoint).hostname or "").endswith(_VIRTUAL_HOSTS)
        return "." not in self._bucket  # a name with dots does not match AWS's certificate

    def _read_endpoint(self, endpoint: str) -> str:
        if not endpoint:
            return ""
        if "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        endpoint = self._options.check_url("endpoint", endpoint, query=False).rstrip("/")
        # Some consoles show the address followed by the bucket.
        return endpoint.removesuffix(f"/{self._bucket}")

    def _read_prefix(self, prefix: str) -> str:
        prefix = prefix.strip("/")
        if not _PREFIX.fullmatch(prefix) or ".." in prefix or "//" in prefix:
            raise StorageError(
                f"{self._options.label('prefix')} is {prefix!r}; it may contain letters, digits, -, _, . and /."
            )
        return f"{prefix}/" if prefix else ""

    def _refusal(self, response: UploadResponse, skew: float) -> str:
        """Return what went wrong and the setting to change. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""
        code, label = _tag(response.text, "Code"), self._options.label
        if abs(skew) > MOST_SKEW_SECONDS or code == "RequestTimeTooSkewed":
            return (
                f"The clock of this computer is {abs(skew) / 60:.0f} minutes {'behind' if skew > 0 else 'ahead of'} "
                "that of the bucket, so signed links are refused. Set the computer's clock."
            )
        place = f"The bucket {self._bucket!r} at {self._endpoint or 'AWS'}"
        said = self._redactor.excerpt(f"{response.status} {code} {_tag(response.text, 'Message')}")
        region = _tag(response.text, "Region") or response.headers.get("x-amz-bucket-region", "")
        advice = {
            "NoSuchBucket": f"The bucket does not exist. Check {label('bucket')} and {label('endpoint')}.",
            "InvalidBucketName": f"Check {label('bucket')}.",
            "InvalidAccessKeyId": f"The key does not exist. Check {label('access_key_id')} and {label('endpoint')}.",
            "SignatureDoesNotMatch": f"Check {label('secret_access_key')}: it must belong to {label('access_key_id')}.",
            "AccessDenied": f"The key under {label('access_key_id')} needs the rights to put and to get objects.",
            "ExpiredToken": f"Check {label('session_token')}: it has expired.",
            "InvalidToken": f"Check {label('session_token')}.",
            "SecondLevelDomainForbidden": f'Set {label("addressing")} to "virtual".',
            "NoSuchKey": f"Check {label('endpoint')} and {label('addressing')}.",
        }.get(code)
        if advice is None and (region or code.startswith("Authorization") or 300 <= response.status < 400):
            to = f" to {self._redactor.excerpt(region)!r}" if region else ""
            advice = f"Set {label('region')}{to}, and check {label('endpoint')}."
        if advice is None and not code:
            advice = f"This is not an answer of S3. Check {label('endpoint')}."
        return f"{place} refused the file ({said.strip()}). {advice or 'Check [storage.s3], or try again later.'}"


def _import_obstore() -> Any:
    try:
        import obstore
        import obstore.exceptions
    except ImportError:
        raise StorageError(
            'storage.kind = "s3" needs the package obstore. Install it with\n'
            f'  "{sys.executable}" -m pip install obstore\n'
            "and restart ComfyUI, or set another kind under [storage] in config.toml."
        ) from None
    return obstore


def _tag(xml: str, name: str) -> str:
    """Return the text of one element. Parsing XML of an unknown server is not worth its risks."""
    found = re.search(rf"<{name}>([^<]{{1,300}})</{name}>", xml)
    return found[1].strip() if found else ""


def _skew_seconds(response: UploadResponse) -> float:
    """Return by how many seconds the server's clock is ahead of ours; 0 if it does not say."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp() - time.time()
    except (TypeError, ValueError):
        return 0.0
