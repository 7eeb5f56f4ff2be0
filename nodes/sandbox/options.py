"""The options of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class SandboxOptions:
    """Settings of one sandbox process. Times are seconds.

    Attributes:
        task_seconds: shortest time a task is PROCESSING, however fast it was rendered. Tasks run at the same time.
        queue_seconds: time a task is QUEUED before that.
        fps: frame rate of the rendered videos, 1-60. A low rate makes tests cheap.
        result_ttl_seconds: lifetime of the URL of a result; every poll of a finished task returns a new one.
        requests_per_minute: answer 429 with Retry-After when one key polls more often. None: no limit.
        upload_expires: lifetime of the URL of an upload.
        max_upload_bytes: larger uploads are refused with 413. Above every limit of the service on purpose, so that
            files that are too large for the service can be tried.
        max_body_bytes: largest body of a request; two inline images of 20 MB fit.
        workers: videos rendered at the same time.
    """

    task_seconds: float = 3.0
    queue_seconds: float = 0.0
    fps: int = 30
    result_ttl_seconds: int = 3600
    requests_per_minute: int | None = None
    upload_expires: int = 86_400
    max_upload_bytes: int = 256 * MIB
    max_body_bytes: int = 64 * MIB
    workers: int = 2

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 60:
            raise ValueError(f"fps is {self.fps}; the sandbox renders 1 to 60 frames a second.")
        if self.task_seconds < 0 or self.queue_seconds < 0:
            raise ValueError("task_seconds and queue_seconds cannot be negative.")
