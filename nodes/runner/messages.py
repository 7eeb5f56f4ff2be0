"""The longer messages of the runner for the person at the graph."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from ..api.connection import Connection
from ..core.errors import E, reworded
from ..core.hosts import HOSTS
from ..ledger import TaskRecord
from ..ledger.budget import usd
from .models import Order, service_of


def searched(host: str, candidates: Sequence[str]) -> str:
    """Tell what a look at the host's list of tasks led to: nothing yet, or tasks that could be the one."""
    if candidates:
        one = len(candidates) == 1
        return (
            f"{'This task' if one else 'These tasks'} in {host}'s list could be it: {', '.join(candidates)}. If "
            f"{'it is' if one else 'one of them is'} yours, paste its task id into Wan 2.7 Wait for Video. If not, "
        )
    return (
        f"{host}'s list of tasks does not have it so far; a task that still runs may be missing there. The list is "
        "looked at again for half an hour, and the video is fetched when the task is found: queue again later. If it "
        "is not found, "
    )


_LOOK_YOURSELF = (
    "Look into the service's own list of tasks: if the task is there, paste its task id into Wan 2.7 Wait for Video. "
    "If it is not, "
)


def unresolved(records: Mapping[int, TaskRecord], orders: Sequence[Order], *, found: str = "") -> str:
    """Explain why a batch is refused: those in `records`, by index, are in state `unknown`.

    `found`: the result of `searched` for the first of them, if its host has a list.
    """
    first, total = min(records), len(orders)
    record, order = records[first], orders[first]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.post_started_at or record.created_at))
    which = "This request" if total == 1 else f"Request {first + 1} of {total}"
    if len(records) > 1:
        which = f"{which} (and {len(records) - 1} more of this batch)"
    text = (
        f"{which} was sent to {_place(record)} on {when} and may have been accepted and billed, but its answer was "
        f"lost: {record.reason} Nothing was sent now, so that you do not pay twice. "
    )
    if record.service != service_of(order.connection):
        text += f'For a pasted task id, set connection = "{record.connection}" in config.toml. '
    text += f"{found or _LOOK_YOURSELF}or if you accept to pay again, "
    if order.on_repeat == "submit_again":  # ComfyUI has run its node again in the same prompt
        return text + "queue again with submit_again: each queued prompt pays once for each item of the batch."
    text += "set on_repeat to submit_again, queue once, and set it back to reuse."
    if total > 1:
        text += (
            " submit_again would pay for the whole batch: to repeat only this one, queue its inputs alone with "
            "submit_again; the batch then uses that task."
        )
    return text


def answer_lost(reason: str, found: str = "") -> str:
    """Explain that the POST of a moment ago may have arrived. `found`: as for `unresolved`."""
    return (
        f"{reason} The request may have been accepted and billed all the same, so it is not sent again automatically. "
        f"{found or _LOOK_YOURSELF}queue again with on_repeat submit_again to send the request once more."
    )


def _place(record: TaskRecord) -> str:
    host = HOSTS.get(record.connection)
    return "the sandbox" if host is None else host.title


def reused(order: Order, record: TaskRecord) -> str:
    """Explain that the task of the order exists already, perhaps at another host."""
    host = HOSTS.get(record.connection)
    there = f" at {host.title}" if host is not None and record.service != service_of(order.connection) else ""
    if order.on_repeat == "submit_again":
        return f"already submitted{there} in this run; queue again to make another"
    return f"already submitted{there}; on_repeat submit_again makes another"


def cost(order: Order, estimate: float | None) -> str:
    """Return the range that the cost of the order is in, "" if it is not a range or nothing is billed."""
    low = order.connection.estimate(order.request).low
    is_range = estimate is not None and estimate > low and not order.connection.is_sandbox
    return f"estimated {usd(low)} to {usd(estimate)}" if estimate is not None and is_range else ""


def withdrawn() -> str:
    """Explain that the request was withdrawn because the caller left before the POST."""
    return "The run ended before this request was sent; it was withdrawn and costs nothing."


def wait_timed_out(task_id: str, minutes: float) -> str:
    """Explain that a wait reached its timeout."""
    return (
        f"Task {task_id} was not finished after {minutes:g} minutes. It goes on, and its video is fetched when it is "
        "ready: queue again to collect it, or raise timeout_minutes."
    )


def goes_on(task_id: str) -> str:
    """Explain that the node stopped waiting for the task."""
    return f"Task {task_id} goes on, and its video is fetched when it is ready: queue again to collect it."


def sent_goes_on(requests: int) -> str:
    """Explain what becomes of requests that were being sent when the run was interrupted."""
    which = "If the request was sent by now, it" if requests == 1 else f"What was sent by now of {requests} requests"
    return (
        f"Interrupted. {which} goes on as a task, and its video is fetched when it is ready: queue again to collect "
        "it. What was not sent yet is withdrawn and costs nothing."
    )


def file_changed(file: str, instead: str) -> str:
    """Explain that a video is fetched again beside its file, which the user has changed."""
    return f"{file} was changed since it was saved and stays as it is; the original video is saved as {instead}"


def file_unreadable(file: str, why: str) -> str:
    """Explain that the video of a finished task was downloaded, and its file cannot be opened."""
    return (
        f"The video was saved as {file}, but the file cannot be read ({why}): another program, such as a virus "
        "scanner, may have it open. Queue again: the task is paid for, and its video will be downloaded again."
    )


def video_gone(record: TaskRecord, why: str, *, changed: bool) -> str:
    """Explain that the video of a finished task is gone. changed: its file exists, but is not what was saved."""
    if changed:
        was = f"Its file {record.file} was changed since it was saved and is no longer the original video"
        advice = "Put the original back, load the changed file with ComfyUI's Load Video"
    else:
        was = (
            f"Its file {record.file} is no longer in the output folder" if record.file else "It was not fetched in time"
        )
        advice = "Put the file back"
    return (
        f"Task {record.task_id} is finished and paid for, but its video is gone. {was}, and the service does not "
        f"return it again ({why}). {advice}, or set on_repeat to submit_again to pay for a new one."
    )


def not_a_video(task_id: str, why: str) -> str:
    """Explain that every link of a finished task led to something else."""
    return (
        f"Task {task_id} is finished and paid for, but every link that the service returned for it led to something "
        f"else. {why} Queue again later to ask for a fresh link; if that does not help, give the task id to the "
        "service's support."
    )


def task_forgotten(said: str) -> str:
    """Explain that the service does not know a task that was paid for."""
    return (
        f"{said} This task was submitted from here. If the key is still that of the same account, the service has "
        "forgotten the task: set on_repeat to submit_again to pay for a new one."
    )


def not_submitted_here(said: str, connection: Connection) -> str:
    """Explain that neither the ledger nor the service that is set knows the task."""
    asked = "the sandbox" if connection.is_sandbox else connection.host.title
    return (
        f"{said} It was not submitted from this ComfyUI, so {asked} was asked. If the id is pasted, copy it again, or "
        "set connection in config.toml to the host that has the task. If it is linked, it comes from an output cache "
        "that another ComfyUI, or this one long ago, has filled: collect the video there, or set on_repeat of Wan 2.7 "
        "Image to Video to submit_again and queue once to pay for it here."
    )


def other_connection(record: TaskRecord) -> str:
    """Explain that the settings have no key, or another address, for the connection that the task belongs to."""
    host = HOSTS.get(record.connection)
    if host is None:
        advice = 'Set connection = "sandbox" in config.toml to collect its video.'
        return f"Task {record.task_id} is in the sandbox, and requests do not go there now. {advice}"
    return (
        f"Task {record.task_id} is at {host.title}, and the settings have no key or another address for it. Set "
        f"{host.setting('api_key')}, and base_url there to {record.base_url}, to collect its video before it expires; "
        "or set on_repeat to submit_again to pay for a new one."
    )


def task_failed(task_id: str, reason: str) -> str:
    """Explain that the service reported the task as failed, now or earlier."""
    said = sentence(reason or "no reason was given")
    return (
        f"Task {task_id} failed at the service: {said} Queue again to submit a new one. If the same task comes back, "
        "an output cache has kept its id: set on_repeat of Wan 2.7 Image to Video to submit_again and queue once."
    )


def canceled(*, billed: bool) -> str:
    """Explain that the task was canceled, from here or at the host. billed: the host may bill it all the same."""
    if billed:
        return "it was canceled. The host may bill it all the same, so it still counts in the budget."
    return "it was canceled before it started, which costs nothing."


def upload_expired(field: str) -> str:
    """Explain that a media file was uploaded from here, and its storage has deleted it since."""
    return (
        f"The file behind {field} was uploaded from here and has expired, so the service could not fetch it. Nothing "
        "was sent. Queue again: the upload node then sends it again. If its URL is pasted, use the upload node instead."
    )


def cannot_cancel(host: str) -> str:
    """Explain that the host has no way to cancel a task."""
    return f"{host} cannot cancel a task. It goes on, and its video is fetched when it is ready."


def too_late_to_cancel(task_id: str, why: str = "") -> str:
    """Explain that the task has started or ended, so that canceling it would save nothing for certain."""
    said = f" {sentence(why)}" if why else ""
    return (
        f"Task {task_id} has started or ended, so it is too late to cancel it.{said} It goes on, and its video is "
        "fetched when it is ready."
    )


def sentence(text: str) -> str:
    """Return the text with a full stop at its end, unless it ends like a sentence already."""
    text = text.strip()
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def in_batch(error: E, index: int, total: int) -> E:
    """Return the error with the number of its item in front. It is a copy: other callers may get the same error."""
    if total == 1:
        return error
    return reworded(error, f"Request {index + 1} of {total}: {error}")
