"""The life of a task: fetch and check the media, render the video, wait until its time is over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from ..core import limits
from ..core.disk import replace
from .fetch import FetchError, decode_data_uri, fetch
from .inspect import Facts, InvalidMediaError, inspect_media
from .options import SandboxOptions
from .rules import MEDIA
from .store import Store

log = logging.getLogger(__name__)
Task = dict[str, Any]
T = TypeVar("T")


class Tasks:
    """All tasks this process works on, in one event loop."""

    def __init__(self, store: Store, options: SandboxOptions) -> None:
        self._store, self._options = store, options
        self._running: set[asyncio.Task[None]] = set()
        self._blocking: set[asyncio.Future[Any]] = set()
        self._workers = asyncio.Semaphore(options.workers)
        self.closing = threading.Event()
        """Set when heavy work has to stop."""
        self._render_locks: dict[str, asyncio.Lock] = {}

    def create(self, body: dict[str, Any]) -> Task:
        """Create a task from a checked body and write it to disk. Can be called from any thread.

        Inline images go into the store at once, so that the written task stays small. Raises ValueError if one is not
        valid base64.
        """
        now = time.time() * 1000
        media, urls = {}, {}
        for field in MEDIA:
            if body.get(field, "")[:5].lower() == "data:":
                media[field] = self._store.keep_bytes(decode_data_uri(body[field]))
            elif field in body:
                urls[field] = body[field]
        started = now + self._options.queue_seconds * 1000
        task: Task = {
            "task_id": str(uuid.uuid4()),
            "owner": self._store.process_lock.token,
            "request": {name: value for name, value in body.items() if name not in MEDIA},
            "urls": urls,
            "media": media,
            "seed": body.get("seed", secrets.randbelow(limits.SEED[1] + 1)),
            "fps": self._options.fps,
            "submitted_ms": round(now),
            "started_ms": round(started),
            "ready_ms": round(started + self._options.task_seconds * 1000),
            "completed_ms": 0,
            "outcome": "",
            "reason": "",
            "result": "",
        }
        self._store.write_task(task)
        return task

    def start(self, task: Task) -> None:
        running = asyncio.create_task(self._work(task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    def take_over(self, task: Task) -> None:
        """Continue an unfinished task whose process is gone."""
        if self._store.is_abandoned(task):
            adopted = self._store.adopt(task["task_id"])
            if adopted is not None:  # no other process was faster
                self.start(adopted)

    async def close(self) -> None:
        """Stop working. Unfinished tasks stay unfinished on disk."""
        self.closing.set()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._blocking:
            await asyncio.wait(self._blocking, timeout=2.0)

    async def run(self, work: Callable[[], T]) -> T:
        """Run heavy work in a thread; at most `workers` of them run at the same time. `close` waits for it."""
        async with self._workers:
            future = asyncio.ensure_future(asyncio.to_thread(work))
            self._blocking.add(future)
            future.add_done_callback(self._blocking.discard)
            return await asyncio.shield(future)

    async def _work(self, task: Task) -> None:
        from .render.render import RenderCancelledError

        try:
            await self.make(task)
            await until(task["ready_ms"])
            self._finish(task, "succeed", "")
        except RenderCancelledError:
            return
        except FetchError as error:
            self._finish(task, "failed", str(error))
        except InvalidMediaError as error:
            self._finish(task, "failed", f"InvalidParameter: {error}")
        except Exception as error:
            log.exception("sandbox task %s failed", task["task_id"])
            self._finish(task, "failed", f"InternalError: {type(error).__name__}: {error}")

    async def make(self, task: Task) -> None:
        """Fetch and check the media, and render the video.

        Raises:
            FetchError, InvalidMediaError: the task fails for this reason.
            RenderCancelledError: the sandbox is being stopped.
        """
        for field, url in task["urls"].items():
            if field not in task["media"]:
                task["media"][field] = await fetch(self._store, field, url)
        facts = await self.run(lambda: self._inspect(task))
        task["result"] = result_key(task)
        self._store.write_task(task)
        lock = self._render_locks.setdefault(task["result"], asyncio.Lock())
        async with lock:
            await self.run(lambda: self._render(task, facts))

    def _inspect(self, task: Task) -> dict[str, Facts]:
        facts = {field: inspect_media(self._store.media(sha), field) for field, sha in task["media"].items()}
        clip = facts.get("first_clip_url")
        duration = task["request"].get("duration", limits.DEFAULT_DURATION_SECONDS)
        if clip and clip.seconds >= duration:
            raise InvalidMediaError(
                f"duration is {duration} s and the clip is {clip.seconds:.3f} s long: duration is the whole output, "
                "the clip included, and must be longer than the clip"
            )
        return facts

    def _render(self, task: Task, facts: dict[str, Facts]) -> None:
        from .render.render import Job, output_size, render

        target = self._store.result(task["result"])
        if target.exists():
            target.touch()
            return
        request = task["request"]
        media = {field: self._store.media(sha256) for field, sha256 in task["media"].items()}
        clip = facts.get("first_clip_url")
        source = clip or facts["image_url"]
        resolution = request.get("resolution", limits.DEFAULT_RESOLUTION)
        width, height = output_size(source.width, source.height, resolution)
        job = Job(
            width=width,
            height=height,
            fps=task["fps"],
            duration=request.get("duration", limits.DEFAULT_DURATION_SECONDS),
            seed=task["seed"],
            prompt=request.get("prompt", ""),
            watermark=request.get("watermark", False),
            image=media.get("image_url"),
            last_image=media.get("last_frame_url"),
            clip=media.get("first_clip_url"),
            clip_seconds=clip.seconds if clip else 0.0,
            audio=media.get("driving_audio_url"),
        )
        with self._store.temporary() as path:
            render(job, path, cancelled=self.closing.is_set)
            replace(path, target)

    def _finish(self, task: Task, outcome: str, reason: str) -> None:
        task.update(outcome=outcome, reason=reason, completed_ms=round(time.time() * 1000))
        self._store.write_task(task)


def result_key(task: Task) -> str:
    """Return the identity of a video: the request with its media by content, the seed used, the frame rate."""
    from .render.render import VERSION

    parts = {name: task[name] for name in ("request", "media", "seed", "fps")}
    return hashlib.sha256(json.dumps([VERSION, parts], sort_keys=True).encode()).hexdigest()


async def until(time_ms: float) -> None:
    """Sleep until a time in milliseconds since the epoch."""
    tick = time.get_clock_info("monotonic").resolution  # on Windows 16 ms, by which a sleep may end early
    await asyncio.sleep(max(0.0, time_ms / 1000 - time.time() + tick))
