"""The base class of dialects: how to express calls to one host, and how to read its answers.

A dialect is pure translation without I/O, so that a table of tests can cover every answer. It has a method for each
thing a host may offer, mostly in pairs: `submit` returns the call, `read_submit` reads its answer. What a host does not
offer keeps the default, which returns None. `client.ServiceClient` performs the calls.

Which error a reader raises matters: from its class and status, `retry.judge` decides what became of a paid call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..core import errors, limits
from ..core.hosts import HOSTS, Host
from .json_values import Json, short
from .request import VideoRequest
from .task import Balance, TaskHandle, TaskPage, TaskResult, TaskState, check_task_id

Kind = type[errors.ServiceError]
"""What an error is about; its class decides what happens next."""


@dataclass(frozen=True)
class Call:
    """One HTTP call. `Connection.arguments` turns it into the arguments of httpx's `request`.

    Attributes:
        path: below the address `at`, with its slash; or an absolute URL that an answer of the host contained. With the
            key, such a URL must be on an address of the connection. Without, check it as `core.addresses` does.
        at: the setting of the connection that has the address.
        json: the body, None for none.
        headers: beside the key and the type of the content.
        with_key: whether the key is sent.
    """

    method: str
    path: str = field(repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    json: Mapping[str, Json] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    at: Literal["base_url", "upload_url", "list_url"] = "base_url"
    with_key: bool = True


@dataclass(frozen=True)
class Answer:
    """The answer to a call. `payload` is None if the body is not JSON; the key was taken out of it."""

    status: int
    payload: Json = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the HTTP status is a success. A host may still report an error inside."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class UploadFile:
    """A file to be stored at the host. `name` is unique to its content, with the right extension."""

    name: str
    mime: str
    size: int


@dataclass(frozen=True)
class Transfer:
    """The call of an upload that carries the bytes.

    Attributes:
        file_field: name of the file's part in a multipart form, in which it comes last. "" if the file is the body, of
            its own type.
        form: the fields before it. They can be a permission to upload, so they are never shown.
    """

    call: Call
    file_field: str = ""
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Capabilities:
    """What a host offers and what it lacks, as far as no method of the dialect says it.

    Attributes:
        data_uris: whether images can be sent inside the request: "documented" by the host, it "works" for clients of
            others, "undocumented" and unknown, or "refused".
        upload_seconds: how long a file lives that was uploaded to the host; None if it takes no uploads.
        upload_bytes: the largest file that it takes, None if no limit is known.
        public_uploads: whether everyone who has the URL of an upload can read it.
        shared_ticket: whether one answer to `prepare_upload` is good for several files.
        cancels: which tasks the host cancels: none (""), those that are "queued" still, or "running" ones too, so that
            a canceled one may be billed. `can_cancel` says which of them the pack cancels.
        watermark: whether the host can put a watermark on the video. Without, `submit` leaves it out.
        min_audio_seconds: the shortest driving audio.
        polls_per_minute: the limit for all tasks together. If the host documents none, it is our own choice.
    """

    data_uris: Literal["documented", "works", "undocumented", "refused"] = "undocumented"
    upload_seconds: float | None = None
    upload_bytes: int | None = None
    public_uploads: bool = False
    shared_ticket: bool = False
    cancels: Literal["", "queued", "running"] = ""
    watermark: bool = True
    min_audio_seconds: float = limits.AUDIO.min_seconds
    polls_per_minute: float = 60.0

    def can_cancel(self, state: TaskState) -> bool:
        """Return whether a task in this state is canceled if the user asks for it.

        One that has started is billed, so it goes on at every host, and its video is not thrown away.
        """
        return bool(self.cancels) and state is TaskState.QUEUED


class Dialect(ABC):
    """How one host is spoken. A subclass defines what the host has, and reads answers with `payload`."""

    name: ClassVar[str]
    """The host's name in `core.hosts`."""
    model: ClassVar[str]
    """The host's id of the model, which is written nowhere else."""
    capabilities: ClassVar[Capabilities] = Capabilities()
    key_scheme: ClassVar[str] = "Bearer"
    """The word before the key in the Authorization header."""
    codes: ClassVar[Mapping[str, Kind | tuple[Kind, str]]] = {}
    """The host's own error codes: what each is about, and what to do if `advice` is not good enough. A code that is
    not in here is looked up without its last part: "A.B" as "A"."""

    @property
    def host(self) -> Host:
        """The entry in the table of hosts."""
        return HOSTS[self.name]

    # The task -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def submit(self, request: VideoRequest) -> Call:
        """Return the paid call. What is not set, or what the host cannot do (`left_out`), is not sent."""

    @abstractmethod
    def read_submit(self, answer: Answer) -> TaskHandle:
        """Read the answer to `submit`: the id of the task, and what to keep for the next calls.

        Raises:
            ServiceError: with a status of 4xx only if the host surely created no task.
            ServerError: the answer has no task id.
        """

    def left_out(self, request: VideoRequest) -> list[str]:
        """Return what of this request `submit` leaves out, because the host cannot do it: sentences for the user."""
        if request.watermark and not self.capabilities.watermark:
            return [f"{self.host.title} makes no watermark: the video comes without one."]
        return []

    def problems(self, request: VideoRequest, *, audio_seconds: float | None = None) -> list[str]:
        """Return why this host would refuse the request, beyond the rules of the model: sentences for the user.

        `audio_seconds`: length of the driving audio, if it is known.
        """
        found = [self._url_problem(field, url) for field, url in request.media().items()]
        least = self.capabilities.min_audio_seconds
        if request.driving_audio_url and audio_seconds is not None and audio_seconds < least:
            found.append(
                f"driving_audio_url: the audio lasts {audio_seconds:.2f} s, and {self.host.title} needs at least "
                f"{least:g} s. Send it through Wan 2.7 Upload Audio with on_limit fit, which adds silence at its end."
            )
        return [problem for problem in found if problem]

    def _url_problem(self, field: str, url: str) -> str:
        scheme = url.partition(":")[0]
        if scheme == "data" and self.capabilities.data_uris == "refused":
            return (
                f"{field}: {self.host.title} takes no images inside the request. Use an upload node, or a public URL."
            )
        if scheme not in ("data", "http", "https", self.host.upload_scheme):
            return f"{field} is an upload at another host, which {self.host.title} cannot read. Upload the file again."
        return ""

    @abstractmethod
    def poll(self, task: TaskHandle) -> Call:
        """Return the call that queries a task. It must be possible with the id alone: `kept` can be empty."""

    @abstractmethod
    def read_poll(self, task: TaskHandle, call: Call, answer: Answer) -> TaskResult | Call:
        """Read the answer to `poll`, or to a further `call` that this method has asked for.

        Returns: the state of the task, or the call whose answer will tell.

        Raises:
            TaskNotFoundError: the account has no such task, or no longer.
            TaskErrorReported: either the task failed, or only the query did.
            ServiceError: everything else that the host says instead of a state.
        """

    def failure_advice(self, reason: str) -> str:
        """Return what to do about the reason of a failed task, or "" if the reason is not known."""
        return next((advice for word, advice in _TASK_REASONS if word in reason), "")

    def cancel(self, task: TaskHandle) -> Call | None:
        """Return the call that cancels a task. `payload` reads the answer: an error means that it was not canceled."""
        return None

    # The account ----------------------------------------------------------------------------------------------------

    def balance(self) -> Call | None:
        """Return the free call that asks for the balance."""
        return None

    def read_balance(self, answer: Answer) -> Balance:
        """Read the answer to `balance`. Raises ServerError if it cannot be read."""
        raise NotImplementedError

    def key_check(self) -> Call | None:
        """Return a free call that shows whether the key is valid. `payload` reads the answer."""
        return self.balance()

    def list_tasks(self, since: float, until: float, page: str = "") -> Call | None:
        """Return the call for one page of the account's tasks of this model.

        Args:
            since, until: seconds since 1970. The page may contain other tasks too.
            page: `TaskPage.next_page` of the page before, "" for the first.
        """
        return None

    def read_list(self, answer: Answer, since: float) -> TaskPage:
        """Read one page of the list, as far as it is of this model. Lists that have no time window end at `since`."""
        raise NotImplementedError

    # Uploads --------------------------------------------------------------------------------------------------------

    def prepare_upload(self, file: UploadFile) -> Call | None:
        """Return the call that asks for permission to upload, or None if none is needed."""
        return None

    def upload(self, file: UploadFile, ticket: Answer | None) -> Transfer | None:
        """Return the call that carries the file, or None if the host takes no uploads.

        Args:
            ticket: the answer to `prepare_upload`, None if that returned no call.

        Raises:
            ServiceError: the host refused the permission, or it cannot be read.
        """
        return None

    def read_upload(self, file: UploadFile, ticket: Answer | None, answer: Answer) -> str:
        """Return the URL of the stored file from the answer to `upload`. It can be of a scheme of the host's own.

        Raises ServiceError if the host refused the file.
        """
        raise NotImplementedError

    # Answers --------------------------------------------------------------------------------------------------------

    def payload(self, answer: Answer, *, submitting: bool = False) -> Json:
        """Return the JSON of an answer, or raise the error that it stands for. `submitting`: it answers `submit`."""
        if not 200 <= self.status(answer) < 300:
            raise self.error(answer, submitting=submitting)
        if answer.payload is None:
            raise errors.ServerError(f"{self.host.title} sent something that is not JSON.", status=answer.status)
        return answer.payload

    def handle(self, task_id: Json, answer: Answer, kept: Mapping[str, str] | None = None) -> TaskHandle:
        """Return the handle of a task whose id an answer contained. Raises ServerError if it is not a task id."""
        try:
            return TaskHandle(check_task_id(task_id), kept or {})
        except errors.RequestError:
            raise self.incomplete(answer, "usable task id") from None

    def status(self, answer: Answer) -> int:
        """Return the status of an answer. It differs from that of HTTP if the host answers 200 with an error code."""
        return answer.status

    def said(self, answer: Answer) -> tuple[str, str]:
        """Return the error code of the host's own and its message, each "" if there is none."""
        return "", ""

    def error(self, answer: Answer, *, submitting: bool = False) -> errors.ServiceError:
        """Return the error that an answer stands for."""
        status, (code, message) = self.status(answer), self.said(answer)
        kind, advice = self.kind(status, code, message, submitting=submitting)
        told = " - ".join(part for part in (code, short(message, 500)) if part) or "no explanation"
        text = f"The service answered {status}: {told}. {advice or self.advice(kind)}"
        return kind(text, status=status, retry_after=answer.retry_after)

    def incomplete(self, answer: Answer, lacking: str) -> errors.ServerError:
        """Return the error for an answer that lacks something. It quotes the answer, so not for upload permissions."""
        text = f"{self.host.title}'s answer has no {lacking}: {short(answer.payload)}."
        return errors.ServerError(text, status=answer.status)

    def not_stored(self, answer: Answer) -> errors.ServiceError:
        """Return the error of an upload without the key that was refused: it says nothing about the key."""
        said = self.said(answer)[1] or "no explanation"
        return errors.ServiceError(f"Its storage answered {answer.status}: {said}.", status=answer.status)

    def kind(self, status: int, code: str, message: str, *, submitting: bool) -> tuple[Kind, str]:
        """Return what an error is about, and what to do about it, "" for the usual `advice`."""
        while not (found := self.codes.get(code)) and "." in code:
            code = code.rpartition(".")[0]
        if found is None:
            return (errors.ServerError if status >= 500 else self._by_status(status, submitting)), ""
        return found if isinstance(found, tuple) else (found, "")

    def _by_status(self, status: int, submitting: bool) -> Kind:
        if status == 404:
            return errors.ModelNotFoundError if submitting else errors.TaskNotFoundError
        return _STATUSES.get(status, errors.ServiceError)

    def advice(self, kind: Kind) -> str:
        """Return what to do about an error of this kind. It names the host's own settings."""
        host = self.host
        if kind is errors.ModelNotFoundError:
            return (
                f"The host retired the model {self.model}, or {host.setting('base_url')} is wrong. Update this node "
                "pack, or choose another host with connection in config.toml."
            )
        return {
            errors.AuthenticationError: f"Check {host.setting('api_key')}.",
            errors.BalanceError: f"Add credit to the account at {host.title}, or lower duration or resolution.",
            errors.ContentError: "The prompt or a media file was judged unsafe or protected: change it.",
            errors.MediaRefusedError: "Send media files through the Wan 2.7 upload nodes (on_limit fit).",
            errors.RateLimitError: "Wait a minute, or send fewer requests at once.",
            errors.TaskNotFoundError: "Check the task id, and that the key is of the same account.",
            errors.ServerError: "The service has an internal problem; try again later.",
            errors.TaskErrorReported: "The service could not finish the task.",
        }.get(kind, "The request was refused.")


_STATUSES: Mapping[int, Kind] = {
    401: errors.AuthenticationError,
    402: errors.BalanceError,
    403: errors.AuthenticationError,
    429: errors.RateLimitError,
}

_PUBLIC = "must be readable from the internet without a login"
_TASK_REASONS = (
    ("DataInspectionFailed", "The prompt, an image, the audio or the result was judged unsafe: change it."),
    ("IPInfringementSuspect", "The prompt or a media file looks like protected material: change it."),
    ("DataInspection", f"The service could not fetch a media file: its URL {_PUBLIC}."),
    ("InvalidURL", f"The service could not use a URL: it {_PUBLIC}."),
    ("InvalidParameter", "A value or a media file is outside the limits of the service."),
)
"""The model's own words for a failed task, which every host passes on. The first entry whose word occurs applies."""
