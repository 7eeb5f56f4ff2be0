"""Following a task until its video is on disk."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from pathlib import Path
from typing import Any

import httpx

from ..api.download import LinkRefusedError, NotAVideoError, UnreachableError, download, remove_leftovers
from ..api.task import TaskResult, TaskState
from ..core.backoff import Backoff
from ..core.errors import DownloadError, LedgerError, TaskFailedError, TaskNotFoundError, WaitTimeoutError, Wan27Error
from ..core.event_loop import run_blocking
from ..core.limits import RESULT_BYTES
from ..ledger.ledger import Ledger
from ..ledger.records import TaskRow
from . import messages
from .models import Finished, Progress, service_of
from .output_files import describe_video, finished, free_name, is_changed, saved_file
from .polling import Poller, Task, seconds

log = logging.getLogger(__name__)

LINKS = 4
"""Links to the video to try, each asked for anew."""
EMPTY_ANSWERS = 3
"""Answers "succeeded" without a video before it is an error."""


class Follower:
    """Waits for tasks and fetches their videos. Lives on the runner's loop.

    Args:
        ledger: told of each step.
        http: for downloads.
        output_dir: ComfyUI's output folder.
        poller: asks the service.
        backoff: pauses after trouble.
        downloads_at_once: the others wait.
    """

    def __init__(
        self,
        ledger: Ledger,
        http: httpx.AsyncClient,
        output_dir: Path,
        poller: Poller,
        backoff: Backoff,
        *,
        downloads_at_once: int = 4,
    ) -> None:
        self._backoff = backoff
        self._ledger, self._http, self._output_dir, self._poller = ledger, http, output_dir, poller
        self._downloads = asyncio.Semaphore(downloads_at_once)

    async def run(self, task: Task) -> None:
        """Bring the video; the outcome, good or bad, goes to `task.outcome`."""
        try:
            task.outcome.set_result(await self._bring(task))
        except asyncio.CancelledError:
            task.outcome.set_exception(WaitTimeoutError("ComfyUI is shutting down; queue again to collect the video."))
            raise
        except BaseException as error:
            if not task.listeners:
                log.warning("Wan 2.7: task %s: %s", task.task_id, error)
            task.outcome.set_exception(error)
            if not isinstance(error, Exception):
                raise

    async def _bring(self, task: Task) -> Finished:
        service = service_of(task.connection)
        row = await run_blocking(self._ledger.find, task.task_id, service)
        if row is None:
            return await self._fetch(task, None)
        task.began_at = row.began_at
        if row.state == "saved" and await run_blocking(saved_file, row, self._output_dir) is not None:
            return finished(row, self._output_dir)
        if row.service != service:
            raise LedgerError(messages.elsewhere(task.task_id, row.connection, task.connection.name))
        if row.state == "failed":
            reason = messages.failed_before(task.task_id, row.reason)
            raise TaskFailedError(reason, task_id=task.task_id, reason=row.reason)
        return await self._fetch(task, row)

    async def _fetch(self, task: Task, row: TaskRow | None) -> Finished:
        """Ask for a link, fetch from it, and ask for a fresh one where it is refused."""
        refusal: DownloadError | None = None
        for attempt in range(LINKS):
            if attempt:
                await asyncio.sleep(self._backoff.bound(attempt) * random.random())  # noqa: S311
            row = await self._until_link(task, row)
            try:
                return await self._save(task, row)
            except (LinkRefusedError, NotAVideoError, UnreachableError) as error:
                refusal = error
                log.info("Wan 2.7: task %s: %s", task.task_id, error)
        if isinstance(refusal, LinkRefusedError) and row is not None:
            raise await run_blocking(self._gone, row, str(refusal))
        if isinstance(refusal, NotAVideoError):
            raise DownloadError(messages.no_video(task.task_id, str(refusal)))
        raise refusal or DownloadError(f"Task {task.task_id} could not be fetched. Queue again.")

    async def _until_link(self, task: Task, row: TaskRow | None) -> TaskRow:
        """Poll until the service has the video, and write its link down.

        A link of an earlier time is used only where the service forgot the task: a fresh one is free and surely alive.
        """
        for _ in range(EMPTY_ANSWERS):
            try:
                result = await self._poller.until_ended(task, row)
            except TaskNotFoundError as error:
                if row is None:
                    raise
                if row.state == "submitted":
                    raise await run_blocking(self._forgotten, task, row, error) from error
                if row.result_url and row.result_url not in task.tried:
                    task.tried.add(row.result_url)
                    return row
                raise await run_blocking(self._gone, row, "it does not know the task any more") from error
            row = row or await run_blocking(self._adopt, task, result)
            if result.state is TaskState.FAILED:
                raise await run_blocking(self._failed, task, row, result)
            if result.videos:
                return await run_blocking(self._record_link, row, result)
            await self._poller.rest()
        raise DownloadError(
            f"Task {task.task_id} is finished, but the service names no video. Queue again to ask again."
        )

    def _adopt(self, task: Task, result: TaskResult) -> TaskRow:
        """Take a task into the ledger that it never saw, now that the service is known to have it."""
        task.began_at = seconds(result.submitted_at_ms) or self._ledger.now()
        return self._ledger.adopt(
            task.task_id,
            service=service_of(task.connection),
            connection=task.connection.name,
            base_url=task.connection.base_url,
            began_at=task.began_at,
        )

    def _failed(self, task: Task, row: TaskRow, result: TaskResult) -> TaskFailedError:
        """A failed task may have been billed: no refund is documented, so it keeps its part of the budget."""
        advice = task.connection.dialect.failure_advice(result.reason)
        reason = f"{messages.sentence(result.reason or result.raw_status)} {advice}".strip()
        self._ledger.fail(row.id, reason, billed=True)
        return TaskFailedError(messages.failed_before(task.task_id, reason), task_id=task.task_id, reason=result.reason)

    def _forgotten(self, task: Task, row: TaskRow, error: TaskNotFoundError) -> Wan27Error:
        """A task that the service took and does not know now. In the sandbox nothing was paid: just make another."""
        if task.connection.is_sandbox:
            reason = "the sandbox has forgotten it"
            self._ledger.fail(row.id, reason, billed=False)
            return TaskFailedError(messages.failed_before(task.task_id, reason), task_id=task.task_id, reason=reason)
        return TaskNotFoundError(messages.forgotten(str(error)), status=error.status, reason=error.reason)

    def _gone(self, row: TaskRow, why: str) -> DownloadError:
        return DownloadError(messages.video_gone(row, why, changed=is_changed(row, self._output_dir)))

    def _record_link(self, row: TaskRow, result: TaskResult) -> TaskRow:
        video = result.videos[0]
        self._ledger.record_result(
            row.id,
            url=video.url,
            expires_at=self._ledger.now() + video.ttl_seconds if video.ttl_seconds else None,
            seed=result.seed,
            executed_at=seconds(result.executed_at_ms),
            completed_at=seconds(result.completed_at_ms),
        )
        return self._ledger.row(row.id)

    async def _save(self, task: Task, row: TaskRow) -> Finished:
        """Fetch the video of a row with a link, and mark it saved once it is on disk for good."""
        name = await run_blocking(free_name, row, self._output_dir)
        dest = self._output_dir / name
        note = messages.file_changed(row.file, name.as_posix()) if row.file and row.file != name.as_posix() else ""

        def told(done: int, total: int | None) -> None:
            passed = max(0.0, self._ledger.now() - row.began_at)
            task.tell(Progress("downloading", passed, 100.0, None, done, total, note))

        await run_blocking(self._remove_leftovers, dest)
        async with self._downloads:
            size = await download(
                self._http,
                row.result_url or "",
                dest,
                allow_loopback=task.connection.on_loopback,
                max_bytes=RESULT_BYTES,
                owner=self._ledger.token,
                on_progress=told,
                backoff=self._backoff,
            )
            video, digest = await run_blocking(_read_back, dest)
        saved = await run_blocking(self._record_saved, row.id, name.as_posix(), size, digest, video)
        log.info("Wan 2.7: task %s saved as %s%s", task.task_id, saved.file, note and f": {note}")
        return finished(saved, self._output_dir)

    def _remove_leftovers(self, dest: Path) -> None:
        remove_leftovers(dest.parent, self._ledger.alive, of=dest.name, older_than_seconds=0.0)

    def _record_saved(self, row_id: int, file: str, size: int, sha256: str, video: dict[str, Any]) -> TaskRow:
        return self._ledger.record_saved(row_id, file=file, size=size, sha256=sha256, video=video)


def _read_back(path: Path) -> tuple[dict[str, Any], str]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return describe_video(path), digest.hexdigest()
