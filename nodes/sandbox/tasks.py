"""The life of a task: media fetched and checked, video rendered, the time it has to take waited for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import time
import uuid
from pathlib import Path
from typing import Any

from ..core import limits
from .fetch import FetchError, decode_data_uri, fetch, upload_token
from .inspect import Facts, MediaRefused, inspect_media
from .options import SandboxOptions
from .rules import MEDIA
from .store import Store
from .thread_pool import Pool

log = logging.getLogger(__name__)
Task = dict[str, Any]


class Tasks:
    """All tasks this process works on. Lives in one event loop."""

    def __init__(self, store: Store, pool: Pool, options: SandboxOptions) -> None:
        self._store, self._pool, self._options = store, pool, options
        self._running: dict[str, asyncio.Task[None]] = {}
        self._rendering: dict[str, asyncio.Lock] = {}

    def create(self, body: dict[str, Any], *, fail_with: str = "", extra_seconds: float = 0.0) -> Task:
        """Make a task of a checked body and write it down. May be called from any thread; `start` sets it going.

        Inline media go into the store at once, so that the written task stays small.
        """
        now = time.time() * 1000
        media, urls = {}, {}
        for field in MEDIA:
            if body.get(field, "")[:5].lower() == "data:":
                media[field] = self._store.keep_bytes(decode_data_uri(body[field]))
            elif field in body:
                urls[field] = body[field]
        seed = body.get("seed")
        started = now + self._options.queue_seconds * 1000
        task: Task = {
            "task_id": str(uuid.uuid4()),
            "owner": self._store.owner,
            "request": {name: value for name, value in body.items() if name not in MEDIA},
            "urls": urls,
            "media": media,
            "seed": secrets.randbelow(limits.SEED[1] + 1) if seed is None else seed,
            "fps": self._options.fps,
            "submitted_ms": round(now),
            "started_ms": round(started),
            "ready_ms": round(started + (self._options.task_seconds + extra_seconds) * 1000),
            "completed_ms": 0,
            "fail_with": fail_with,
            "outcome": "",
            "reason": "",
            "result": "",
        }
        self._store.write_task(task)
        return task

    def start(self, task: Task) -> None:
        """Work on a task from now on."""
        running = asyncio.get_running_loop().create_task(self._work(task))
        self._running[task["task_id"]] = running
        running.add_done_callback(lambda _: self._running.pop(task["task_id"], None))

    def resume(self) -> None:
        """Go on with what earlier processes left unfinished."""
        for task in self._store.tasks():
            self.look_after(task)

    def look_after(self, task: Task) -> None:
        """Take over a task that nobody works on any more."""
        if task["outcome"] or self._store.alive(task["owner"]):
            return
        adopted = self._store.adopt(task["task_id"])
        if adopted is not None:
            self.start(adopted)

    async def close(self) -> None:
        """Stop working; what is unfinished stays so on disk."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _work(self, task: Task) -> None:
        from .render.render import RenderCancelled

        try:
            await self._make(task)
        except RenderCancelled:
            return
        except FetchError as error:
            self._finish(task, "failed", str(error))
        except MediaRefused as error:
            self._finish(task, "failed", f"InvalidParameter: {error}")
        except Exception as error:
            log.exception("sandbox task %s failed", task["task_id"])
            self._finish(task, "failed", f"InternalError: {type(error).__name__}: {error}")

    async def _make(self, task: Task) -> None:
        for field, url in task["urls"].items():
            if field not in task["media"]:
                task["media"][field] = await fetch(self._store, field, url)
        facts = await self._pool.run(lambda: self._inspect(task))
        if task["fail_with"]:
            await _until(task["ready_ms"])
            self._finish(task, "failed", task["fail_with"])
            return
        task["result"] = result_key(task)
        self._store.write_task(task)
        lock = self._rendering.setdefault(task["result"], asyncio.Lock())
        async with lock:
            await self._pool.run(lambda: self._render(task, facts))
        await _until(task["ready_ms"])
        self._finish(task, "succeed", "")

    def _inspect(self, task: Task) -> dict[str, Facts]:
        facts = {field: inspect_media(self._store.media(sha), field) for field, sha in task["media"].items()}
        clip = facts.get("first_clip_url")
        duration = task["request"].get("duration", limits.DEFAULT_DURATION_SECONDS)
        if clip and (clip.seconds or 0) >= duration:
            raise MediaRefused(
                f"duration is {duration} s and the clip is {clip.seconds:.3f} s long: duration is the whole output, "
                "the clip included, and must be longer than the clip"
            )
        return facts

    def _render(self, task: Task, facts: dict[str, Facts]) -> None:
        from .render.render import Job, render
        from .render.size import output_size

        target = self._store.result(task["result"])
        if target.exists():
            target.touch()
            return
        request = task["request"]
        source = facts.get("image_url") or facts["first_clip_url"]
        resolution = request.get("resolution", limits.DEFAULT_RESOLUTION)
        width, height = output_size(source.width or 0, source.height or 0, resolution)
        clip = facts.get("first_clip_url")
        job = Job(
            width=width,
            height=height,
            fps=task["fps"],
            duration=request.get("duration", limits.DEFAULT_DURATION_SECONDS),
            seed=task["seed"],
            prompt=request.get("prompt", ""),
            watermark=request.get("watermark", False),
            image=self._file(task, "image_url"),
            last_image=self._file(task, "last_frame_url"),
            clip=self._file(task, "first_clip_url"),
            clip_seconds=(clip.seconds or 0.0) if clip else 0.0,
            audio=self._file(task, "driving_audio_url"),
        )
        temporary = self._store.temporary()
        try:
            render(job, temporary, cancelled=self._pool.cancelled)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _file(self, task: Task, field: str) -> Path | None:
        sha256 = task["media"].get(field)
        return self._store.media(sha256) if sha256 else None

    def _finish(self, task: Task, outcome: str, reason: str) -> None:
        task.update(outcome=outcome, reason=reason, completed_ms=round(time.time() * 1000))
        self._store.write_task(task)


def result_key(task: Task) -> str:
    """Identity of the video: the request with media by content, the seed used, the rate."""
    from .render.render import VERSION

    parts = {name: task[name] for name in ("request", "media", "seed", "fps")}
    return hashlib.sha256(json.dumps([VERSION, parts], sort_keys=True).encode()).hexdigest()


def fingerprint(store: Store, body: dict[str, Any]) -> str:
    """Identity of a request as it was sent: media by content where the sandbox has them, by URL elsewhere."""
    named = dict(body)
    for field in MEDIA:
        url = named.get(field)
        if not isinstance(url, str):
            continue
        entry = store.upload(upload_token(url) or "")
        if entry is not None:
            named[field] = f"sha256:{entry['sha256']}"
        elif url[:5].lower() == "data:":
            named[field] = f"sha256:{hashlib.sha256(decode_data_uri(url)).hexdigest()}"
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


async def _until(time_ms: float) -> None:
    await asyncio.sleep(max(0.0, time_ms / 1000 - time.time()))
