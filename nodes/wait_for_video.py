"""Wan 2.7 Wait for Video: from a task to a file. Free, and can be repeated as often as you like."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io, ui

from .api.task import check_task_id
from .comfy.node_inputs import literal_value
from .comfy.node_schema import CATEGORY, aliases, output, supported
from .comfy.runtime import executing, report, until_interrupted
from .comfy.wait_status import TaskStatus, WaitStatus
from .core.errors import RequestError, Wan27Error
from .ledger.budget import usd
from .services import Services, get_process
from .storage.inline import explain_refused_image

if TYPE_CHECKING:
    from .runner.models import Finished

TIMEOUT_MINUTES = (1.0, 1440.0)
DEFAULT_TIMEOUT_MINUTES = 60.0


class Wan27WaitForVideo(io.ComfyNode):
    """Waits for tasks, saves their videos in ComfyUI's output folder and outputs them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        low, high = TIMEOUT_MINUTES
        return io.Schema(
            node_id="Wan27WaitForVideo",
            display_name="Wan 2.7 Wait for Video",
            category=CATEGORY,
            description=(
                "Waits until a task is done and saves its video to ComfyUI's output folder under wan27/. Costs "
                "nothing. Interrupt ends the waiting, not the task: queue again to collect the video."
            ),
            **aliases("collect video", "download video", "task result"),
            is_output_node=True,
            is_input_list=True,
            inputs=[
                io.String.Input(
                    "task_id",
                    default="",
                    tooltip="Link Wan 2.7 Image to Video, or paste the id of any task of your account.",
                ),
                io.Float.Input(
                    "timeout_minutes",
                    default=DEFAULT_TIMEOUT_MINUTES,
                    min=low,
                    max=high,
                    step=1.0,
                    tooltip="Stop waiting after this long. The task goes on; queue again to collect its video.",
                    **supported(io.Float.Input, advanced=True),
                ),
            ],
            outputs=[
                output(io.Video, "video", "The video as the service made it.", is_list=True),
                output(io.String, "task_id", "The id of the finished task.", is_list=True, id="task_id_out"),
                output(
                    io.String,
                    "info",
                    "JSON: state, seed, seconds, size, fps, cost, balance, times and file.",
                    is_list=True,
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, task_id: Any = None) -> bool | str:
        """Refuse a pasted text that is not a task id when the prompt is queued."""
        value = literal_value(task_id)
        if value is None:
            return True
        try:
            check_task_id(value)
        except RequestError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> Any:
        """Run again if requests go elsewhere now, and if a video was deleted from the output folder."""
        process = get_process()
        return f"{process.connection_identity()} {process.node_cache.generation(f'wait {executing()[1]}')}"

    @classmethod
    async def execute(cls, task_id: Sequence[str], timeout_minutes: Sequence[float]) -> io.NodeOutput:
        """Wait for all tasks at once; raise the error of a failed task only after the other videos are saved."""
        from .comfy.file_video import Wan27Video

        prompt_id, node_id = executing()
        if len(task_id) == 0:
            raise RequestError("task_id is an empty list, so there is nothing to wait for.")
        ids = [check_task_id(value) for value in task_id]
        process = get_process()
        services = await process.services()
        status = WaitStatus([TaskStatus(value) for value in ids], node_id=node_id, note=services.note)
        outcomes = await until_interrupted(
            asyncio.gather(
                *map(partial(_wait, services), status.tasks, _timeouts(timeout_minutes, len(ids))),
                return_exceptions=True,
            ),
            every=status.show,
            on_interrupt=partial(_tell_what_continues, status),
        )
        status.notes += _balance_after(outcomes)
        await status.show()
        with explain_refused_image(services.sends_inline, services.connection.host.title):
            finished = _all_finished(outcomes, ids)
        paths = [item.path for item in finished]
        process.node_cache.add_check(
            f"wait {node_id}", lambda: not all(path.is_file() for path in paths), prompt_id=prompt_id
        )
        return io.NodeOutput(
            [Wan27Video(str(path)) for path in paths],
            ids,
            [json.dumps(item.info, ensure_ascii=False) for item in finished],
            ui=ui.PreviewVideo([_preview(path, process.output_dir) for path in paths]),
        )


async def _wait(services: Services, task: TaskStatus, minutes: float) -> Finished:
    finished = await services.runner.wait(
        task.task_id, connection=services.connection, on_update=task.update, timeout_seconds=minutes * 60
    )
    task.done = True
    return finished


def _tell_what_continues(status: WaitStatus) -> None:
    """Show it on the node and in the log: an interrupt leaves nothing else behind."""
    from .runner.messages import goes_on

    report([goes_on(task.task_id) for task in status.tasks if not task.done], node_id=status.node_id)


def _timeouts(values: Sequence[float], count: int) -> list[float]:
    """Return a timeout in minutes for each task; a shorter list repeats its last item, as in ComfyUI.

    Raises RequestError if a value is out of range.
    """
    low, high = TIMEOUT_MINUTES
    for value in values:
        if not isinstance(value, Real) or not low <= value <= high:
            raise RequestError(f"timeout_minutes is {value!r}; it must be from {low:g} to {high:g}.")
    return [float(values[min(index, len(values) - 1)]) for index in range(count)]


def _all_finished(outcomes: Sequence[Finished | BaseException], ids: Sequence[str]) -> list[Finished]:
    """Return the results, or raise one error about all tasks that failed."""
    failures = [
        (task_id, outcome) for task_id, outcome in zip(ids, outcomes, strict=True) if isinstance(outcome, BaseException)
    ]
    if not failures:
        return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    if len(ids) == 1 or not all(isinstance(outcome, Wan27Error) for _, outcome in failures):
        raise failures[0][1]
    rest = len(ids) - len(failures)
    lines = [f"{len(failures)} of {len(ids)} tasks returned no video; {rest} were saved under output/wan27."]
    raise Wan27Error("\n".join(lines + [f"{task_id}: {outcome}" for task_id, outcome in failures]))


def _balance_after(outcomes: Sequence[Finished | BaseException]) -> list[str]:
    """Return a line with the balance after the last of these videos, if the service reported one."""
    infos = [outcome.info for outcome in outcomes if not isinstance(outcome, BaseException)]
    balances = [info["balance_usd"] for info in infos if "balance_usd" in info]
    return [f"Balance: {usd(min(balances))}"] if balances else []


def _preview(path: Path, output_dir: Path) -> ui.SavedResult:
    subfolder = path.parent.relative_to(output_dir).as_posix()
    return ui.SavedResult(path.name, "" if subfolder == "." else subfolder, io.FolderType.output)
