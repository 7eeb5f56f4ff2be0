"""The dialect of fal: a queue whose answers contain the URLs to go on with, and uploads in two steps.

Source: fal.ai/docs (queue, errors, platform APIs), and the model's page fal-ai/wan/v2.7/image-to-video.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import ClassVar

from ...core import errors
from ..dialect import Answer, Call, Capabilities, Dialect, Kind, Transfer, UploadFile
from ..inputs import from_inputs, to_inputs
from ..json_values import Json, integer, mapping, mappings, number, short, text, timestamp
from ..request import VideoRequest
from ..task import Balance, PastTask, ResultVideo, TaskHandle, TaskPage, TaskResult, TaskState

NAMES = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "resolution": "resolution",
    "duration": "duration",  # a JSON integer: a string is refused
    "seed": "seed",
    "prompt_extend": "enable_prompt_expansion",
    "image_url": "image_url",
    "last_frame_url": "end_image_url",
    "first_clip_url": "video_url",
    "driving_audio_url": "audio_url",
}

UPLOAD_SECONDS = 24 * 3600
"""How long we ask to keep an upload, which everyone who has its URL can read."""

_LARGEST_SEED = 2**63 - 1
_OF_THE_QUERY = frozenset({401, 402, 403, 404, 408, 409, 425, 429})
"""Statuses that say something about the query for an outcome; every other 4xx is the outcome of the run itself."""


class FalDialect(Dialect):
    name = "fal"
    model = "fal-ai/wan/v2.7/image-to-video"
    key_scheme = "Key"
    capabilities = Capabilities(
        data_uris="works",
        upload_seconds=UPLOAD_SECONDS,
        public_uploads=True,
        cancels="queued",
        watermark=False,
    )
    codes: ClassVar[Mapping[str, Kind | tuple[Kind, str]]] = {
        "content_policy_violation": errors.ContentError,
        "file_download_error": (
            errors.MediaRefusedError,
            "The host could not fetch a media file: its URL must be readable from the internet without a login.",
        ),
    }

    def submit(self, request: VideoRequest) -> Call:
        return Call("POST", f"/{self.model}", json=to_inputs(request, NAMES, resolution=str.lower))

    def read_submit(self, answer: Answer) -> TaskHandle:
        payload = mapping(self.payload(answer, submitting=True))
        urls = {name: text(payload.get(name)) for name in ("status_url", "response_url", "cancel_url")}
        return self.handle(payload.get("request_id"), answer, {name: url for name, url in urls.items() if url})

    def poll(self, task: TaskHandle) -> Call:
        return Call("GET", self._url(task, "status_url", "/status"))

    def read_poll(self, task: TaskHandle, call: Call, answer: Answer) -> TaskResult | Call:
        outcome = Call("GET", self._url(task, "response_url", ""))
        if call == outcome:
            return self._read_outcome(task, answer)
        payload = mapping(self.payload(answer))
        status = text(payload.get("status")).upper()
        if status == "COMPLETED":
            said = payload.get("error")
            if not said:
                return outcome
            kind = text(payload.get("error_type"))
            reason = ": ".join(filter(None, (kind, short(said, 500))))
            return TaskResult(task.task_id, TaskState.FAILED, reason, canceled=kind == "client_cancelled")
        if not status:
            raise self.incomplete(answer, f"status for task {task.task_id}")
        return TaskResult(task.task_id, TaskState.QUEUED if status == "IN_QUEUE" else TaskState.PROCESSING)

    def _read_outcome(self, task: TaskHandle, answer: Answer) -> TaskResult:
        code, message = self.said(answer)
        if answer.status == 400 and "in progress" in message.lower():
            return TaskResult(task.task_id, TaskState.PROCESSING)
        # Without a reason it is not from the host: a proxy refused the query, and the video may be there all the same.
        reason = ": ".join(filter(None, (code, message)))
        if 400 <= answer.status < 500 and answer.status not in _OF_THE_QUERY and reason:
            return TaskResult(task.task_id, TaskState.FAILED, reason)
        if answer.status >= 500 and (code or mappings(mapping(answer.payload).get("detail"))):
            # A run that failed, or the service's own trouble: which one shows if it is asked again. Trouble alone has
            # neither a type nor a list of problems.
            raise errors.TaskErrorReported(f"The service answered {answer.status}: {message}", status=answer.status)
        payload = mapping(self.payload(answer))
        url = text(mapping(payload.get("video")).get("url"))
        seed = integer(payload.get("seed"), _LARGEST_SEED)
        video = ResultVideo(url) if url else None
        return TaskResult(task.task_id, TaskState.SUCCEEDED, seed=seed, video=video)

    def failure_advice(self, reason: str) -> str:
        known = next((entry for code, entry in self.codes.items() if code in reason), None)
        if known is None:
            return super().failure_advice(reason)
        return known[1] if isinstance(known, tuple) else self.advice(known)

    def cancel(self, task: TaskHandle) -> Call:
        return Call("PUT", self._url(task, "cancel_url", "/cancel"))

    def _url(self, task: TaskHandle, name: str, ending: str) -> str:
        """Return a URL of a task: what the host answered, or built from the owner and the app of the model."""
        owner, app = self.model.split("/")[:2]
        return task.kept.get(name) or f"/{owner}/{app}/requests/{task.task_id}{ending}"

    def balance(self) -> Call:
        return Call("GET", "/v1/account/billing", params={"expand": "credits"}, at="list_url")

    def read_balance(self, answer: Answer) -> Balance:
        available = number(mapping(mapping(self.payload(answer)).get("credits")).get("current_balance"))
        if available is None:
            raise self.incomplete(answer, "balance")
        return Balance(available)

    def key_check(self) -> Call:
        return self._list({"limit": "1"})  # the balance may need a key of another kind

    def list_tasks(self, since: float, until: float, page: str = "") -> Call:
        window = {"start": _iso(since), "end": _iso(until)}
        following = {"cursor": page} if page else {}
        return self._list({**window, "limit": "100", "expand": "payloads", **following})

    def _list(self, params: Mapping[str, str]) -> Call:
        path = "/v1/models/requests/by-endpoint"
        return Call("GET", path, params={"endpoint_id": self.model, **params}, at="list_url")

    def read_list(self, answer: Answer, since: float) -> TaskPage:
        payload = mapping(self.payload(answer))
        tasks = [
            PastTask(
                self.handle(row["request_id"], answer),
                _times(row.get("sent_at")),
                from_inputs(mapping(row.get("json_input")), NAMES),
            )
            for row in mappings(payload.get("items"))
            if text(row.get("request_id"))
        ]
        return TaskPage(tasks, text(payload.get("next_cursor")))

    def prepare_upload(self, file: UploadFile) -> Call:
        return Call(
            "POST",
            "/storage/upload/initiate",
            params={"storage_type": "fal-cdn-v3"},
            json={"file_name": file.name, "content_type": file.mime},
            headers={"X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": UPLOAD_SECONDS})},
            at="upload_url",
        )

    def upload(self, file: UploadFile, ticket: Answer | None) -> Transfer:
        return Transfer(Call("PUT", self._ticket(ticket, "upload_url"), with_key=False))

    def read_upload(self, file: UploadFile, ticket: Answer | None, answer: Answer) -> str:
        if not answer.ok:
            raise self.not_stored(answer)
        return self._ticket(ticket, "file_url")

    def _ticket(self, ticket: Answer | None, name: str) -> str:
        assert ticket is not None, "prepare_upload returned a call"
        payload = self.payload(ticket)
        url = text(mapping(payload).get(name))
        if not url:
            raise errors.ServerError(f"The host's permission to upload has no {name}.")
        return url

    def said(self, answer: Answer) -> tuple[str, str]:
        code, detail = answer.headers.get("x-fal-error-type", ""), mapping(answer.payload).get("detail")
        problems = mappings(detail)
        types = [text(problem.get("type")) for problem in problems]
        known = next((kind for kind in types if kind in self.codes), "")
        return known or code, _detail(problems) or (short(detail, 500) if detail else "")

    def kind(self, status: int, code: str, message: str, *, submitting: bool) -> tuple[Kind, str]:
        if status == 403 and "balance" in message.lower():
            return errors.BalanceError, ""
        return super().kind(status, code, message, submitting=submitting)


def _times(value: Json) -> tuple[float, ...]:
    found = timestamp(value)
    return () if found is None else (found,)


def _detail(problems: list[Mapping[str, Json]]) -> str:
    """Return what is wrong with which inputs, in one line."""
    lines = []
    for problem in problems:
        location = problem.get("loc")
        path = ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else ""
        lines.append(": ".join(filter(None, (path, text(problem.get("msg"))))))
    return short("; ".join(filter(None, lines)), 500)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
