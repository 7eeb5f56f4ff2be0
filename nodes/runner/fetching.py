"""Waits for a task and fetches its video to the disk."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx

from ..api.download import LinkRefusedError, NotAVideoError, UnreachableError, download, remove_leftovers
from ..api.task import ResultVideo, TaskResult, TaskState
from ..core.backoff import Backoff, jitter
from ..core.disk import patiently
from ..core.errors import (
    DownloadError,
    LedgerError,
    TaskFailedError,
    TaskNotFoundError,
    WaitTimeoutError,
    Wan27Error,
    reason_of,
)
from ..core.limits import RESULT_BYTES
from ..ledger import BalanceReading, KnownBalance, Ledger, TaskRecord
from ..media.files import sha256_of
from . import messages
from .balance import BalanceReader
from .models import Finished, Progress, service_of
from .output_files import FOLDER, describe_video, finished, free_name, is_changed, saved_file
from .polling import Poller, TrackedTask, seconds
from .run_times import similar_run_times

log = logging.getLogger(__name__)

LINKS = 4
"""Links to the video to try; a fresh one is requested each time."""
EMPTY_ANSWERS = 3
"""This many answers "succeeded" without a video are an error."""
DOWNLOADS_AT_ONCE = 4
WATCHED_SECONDS = 60.0
"""The end of a task that was found unfinished this recently is known well enough to learn from it."""
BALANCE_WAIT_SECONDS = 1.0
"""The balance is asked for while the video is downloaded. This is how long a shorter download waits for the answer."""


class ResultFetcher:
    """Waits for tasks and fetches their videos into ComfyUI's output folder. The ledger records each step."""

    def __init__(
        self,
        ledger: Ledger,
        http: httpx.AsyncClient,
        output_dir: Path,
        poller: Poller,
        balances: BalanceReader,
        *,
        backoff: Backoff,
    ) -> None:
        self._ledger, self._http, self._output_dir, self._poller = ledger, http, output_dir, poller
        self._balances, self._backoff = balances, backoff
        self._downloads = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    async def run(self, task: TrackedTask) -> None:
        """Fetch the video; the outcome, good or bad, goes to `task.outcome`."""
        try:
            task.outcome.set_result(await self._fetch_result(task))
        except asyncio.CancelledError:
            task.outcome.set_exception(WaitTimeoutError("ComfyUI is shutting down; queue again to collect the video."))
            raise
        except BaseException as error:
            if not task.waiting:
                log.warning("Wan 2.7: task %s: %s", task.task_id, error)
            task.outcome.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def remove_leftovers(self) -> None:
        """Delete the temporary files of processes that ended."""
        remove_leftovers(self._output_dir / FOLDER, self._ledger.process_lock.is_held_by)

    async def _fetch_result(self, task: TrackedTask) -> Finished:
        service = service_of(task.connection)
        record = await asyncio.to_thread(self._ledger.find, task.task_id, service)
        if record is None:
            return await self._download(task, None)
        task.began_at = record.began_at
        if record.state == "saved" and await asyncio.to_thread(saved_file, record, self._output_dir) is not None:
            return finished(record, self._output_dir)
        if record.service != service:
            raise LedgerError(messages.other_connection(record))
        if record.state == "failed":
            reason = messages.task_failed(task.task_id, record.reason)
            raise TaskFailedError(reason)
        return await self._download(task, record)

    def _similar_run_times(self, task: TrackedTask, record: TaskRecord | None) -> list[float]:
        request = record.request if record is not None else {}
        runs = self._ledger.finished_runs(service_of(task.connection))
        return similar_run_times(runs, request.get("resolution"), request.get("duration"))

    async def _download(self, task: TrackedTask, record: TaskRecord | None) -> Finished:
        """Ask for a link and download from it; ask for a fresh one when it is refused."""
        task.run_times = await asyncio.to_thread(self._similar_run_times, task, record)
        refusal: DownloadError | None = None
        for attempt in range(LINKS):
            if attempt:
                await asyncio.sleep(self._backoff.pause(attempt, jitter()))
            record = await self._until_link(task, record)
            try:
                return await self._save(task, record)
            except (LinkRefusedError, NotAVideoError, UnreachableError) as error:
                refusal = error
                log.info("Wan 2.7: task %s: %s", task.task_id, error)
        if isinstance(refusal, LinkRefusedError) and record is not None:
            raise await asyncio.to_thread(self._video_gone, record, str(refusal))
        if isinstance(refusal, NotAVideoError):
            raise DownloadError(messages.not_a_video(task.task_id, str(refusal)))
        raise refusal or DownloadError(f"Task {task.task_id} could not be fetched. Queue again.")

    async def _until_link(self, task: TrackedTask, record: TaskRecord | None) -> TaskRecord:
        """Poll until the service has the video, and record its link.

        An earlier link is used only if the service has forgotten the task: a fresh one is free and surely valid.
        """
        for _ in range(EMPTY_ANSWERS):
            try:
                result = await self._poller.until_ended(task, record)
            except TaskNotFoundError as error:
                if record is None:
                    said = messages.not_submitted_here(str(error), task.connection)
                    raise TaskNotFoundError(said, status=error.status) from error
                if record.state == "submitted":
                    raise await asyncio.to_thread(self._task_forgotten, task, record, error) from error
                if record.result_url and record.result_url not in task.tried_links:
                    task.tried_links.add(record.result_url)
                    return record
                raise await asyncio.to_thread(self._video_gone, record, "it does not know the task any more") from error
            if record is None:
                record = await asyncio.to_thread(self._adopt, task, result)
            if result.state is TaskState.FAILED:
                raise await asyncio.to_thread(self._task_failed, task, record, result)
            if result.video is not None:
                return await asyncio.to_thread(self._record_link, task, record, result, result.video)
            await self._poller.longest_pause()
        raise DownloadError(
            f"Task {task.task_id} is finished, but the service returns no video. Queue again to ask again."
        )

    def _adopt(self, task: TrackedTask, result: TaskResult) -> TaskRecord:
        """Add a task to the ledger that it does not know, now that the service is known to have it."""
        task.began_at = seconds(result.submitted_at_ms) or self._ledger.now()
        return self._ledger.adopt(
            TaskRecord(
                state="submitted",
                task_id=task.task_id,
                service=service_of(task.connection),
                connection=task.connection.name,
                base_url=task.connection.base_url,
                submitted_at=task.began_at,
            )
        )

    def _task_failed(self, task: TrackedTask, record: TaskRecord, result: TaskResult) -> TaskFailedError:
        """Record a failure. The task may have been billed: no refund is documented, so it keeps its part of the budget.

        Where only tasks that have not started can be canceled, a canceled one costs nothing.
        """
        dialect = task.connection.dialect
        billed = not (result.canceled and dialect.capabilities.cancels == "queued")
        if result.canceled:
            reason = messages.canceled(billed=billed)
        else:
            reason = f"{messages.sentence(result.reason)} {dialect.failure_advice(result.reason)}".strip()
        self._ledger.fail(record.id, reason, billed=billed)
        return TaskFailedError(messages.task_failed(task.task_id, reason))

    def _task_forgotten(self, task: TrackedTask, record: TaskRecord, error: TaskNotFoundError) -> Wan27Error:
        """Return the error for a task that the service does not know any more; in the sandbox it is just made again."""
        if task.connection.is_sandbox:
            reason = "the sandbox has forgotten it"
            self._ledger.fail(record.id, reason, billed=False)
            return TaskFailedError(messages.task_failed(task.task_id, reason))
        return TaskNotFoundError(messages.task_forgotten(str(error)), status=error.status)

    def _video_gone(self, record: TaskRecord, why: str) -> DownloadError:
        return DownloadError(messages.video_gone(record, why, changed=is_changed(record, self._output_dir)))

    def _record_link(self, task: TrackedTask, record: TaskRecord, result: TaskResult, video: ResultVideo) -> TaskRecord:
        now = self._ledger.now()
        was_watched = task.unfinished_at is not None and now - task.unfinished_at <= WATCHED_SECONDS
        self._ledger.record_result(
            replace(
                record,
                result_url=video.url,
                result_expires_at=now + video.ttl_seconds if video.ttl_seconds else None,
                seed=result.seed,
                executed_at=seconds(result.executed_at_ms),
                completed_at=seconds(result.completed_at_ms) or (now if was_watched else None),
            )
        )
        return self._ledger.get(record.id)

    async def _save(self, task: TrackedTask, record: TaskRecord) -> Finished:
        """Download the video of a record with a link, and mark it saved once it is on disk for good."""
        asking = self._balances.ask(task.connection) if task.connection.reports_balance else None
        asked_at = time.monotonic()
        name = await asyncio.to_thread(free_name, record, self._output_dir)
        dest = self._output_dir / name
        note = ""
        if record.file and record.file != name.as_posix():
            note = messages.file_changed(record.file, name.as_posix())

        def report(done: int, total: int | None) -> None:
            passed = max(0.0, self._ledger.now() - record.began_at)
            task.report(Progress("downloading", passed, 100.0, None, done, total, note))

        await asyncio.to_thread(self._remove_leftovers_of, dest)
        async with self._downloads:
            size = await download(
                self._http,
                record.result_url or "",
                dest,
                allow_loopback=task.connection.on_loopback,
                max_bytes=RESULT_BYTES,
                owner=self._ledger.process_lock.token,
                on_progress=report,
                backoff=self._backoff,
            )
            saved = await asyncio.to_thread(self._record_saved, record, dest, size)
        log.info("Wan 2.7: task %s saved as %s%s", task.task_id, saved.file, note and f": {note}")
        left = asked_at + BALANCE_WAIT_SECONDS - time.monotonic()
        balance = None if asking is None else await _answer_of(asking, left)
        return finished(saved, self._output_dir, balance=balance)

    def _remove_leftovers_of(self, dest: Path) -> None:
        remove_leftovers(dest.parent, self._ledger.process_lock.is_held_by, of=dest.name, older_than_seconds=0.0)

    def _record_saved(self, record: TaskRecord, path: Path, size: int) -> TaskRecord:
        name = path.relative_to(self._output_dir).as_posix()
        try:
            sha256 = patiently(partial(sha256_of, path))
        except OSError as error:
            raise DownloadError(messages.file_unreadable(name, reason_of(error))) from error
        saved = replace(record, file=name, file_size=size, file_sha256=sha256, video=describe_video(path))
        self._ledger.record_saved(saved)
        return self._ledger.get(record.id)


async def _answer_of(asking: asyncio.Task[KnownBalance], seconds: float) -> BalanceReading | None:
    """Return the balance if the answer is here in time. Whatever goes wrong with it, the video is saved already."""
    await asyncio.wait({asking}, timeout=max(0.0, seconds))
    if not asking.done() or asking.cancelled() or asking.exception() is not None:
        return None
    found = asking.result()
    return found if isinstance(found, BalanceReading) else None
