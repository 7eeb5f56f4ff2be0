"""Wan 2.7 Wait for Video: from a task to a file. Free, and can be repeated as often as you like."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io, ui

from .api.task import check_task_id
from .comfy import node_cache
from .comfy.runtime import executing_node_id, show_text, until_interrupted
from .comfy.wait_status import Board, Line
from .core.errors import RequestError, Wan27Error
from .image_to_video import CATEGORY
from .storage.inline import explain_refused_image

if TYPE_CHECKING:
    from .runner.models import Finished
    from .services import Services

log = logging.getLogger(__name__)

TIMEOUT_MINUTES = (1.0, 1440.0)
DEFAULT_TIMEOUT_MINUTES = 60.0


class Wan27WaitForVideo(io.ComfyNode):
    """Waits for tasks, fetches their videos into ComfyUI's output folder and gives them out."""

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
                    tooltip="Stop waiting after this long. The task goes on, and queueing again collects it.",
                ),
            ],
            outputs=[
                io.Video.Output(
                    "video", display_name="video", is_output_list=True, tooltip="The video as the service made it."
                ),
                # Ids are unique across inputs and outputs in ComfyUI; the name on the node is the contract's.
                io.String.Output(
                    "task_id_out", display_name="task_id", is_output_list=True, tooltip="The task that was waited for."
                ),
                io.String.Output(
                    "info",
                    display_name="info",
                    is_output_list=True,
                    tooltip="JSON: state, seed, seconds, size, fps, estimated cost, times and file.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, task_id: Any = None) -> bool | str:
        """A pasted id that is none is refused when the prompt is queued."""
        value = task_id[0] if isinstance(task_id, (list, tuple)) and task_id else task_id
        if value is None:
            return True
        try:
            check_task_id(value)
        except RequestError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> Any:
        """Run again when requests go elsewhere now, and when a video was deleted from the output folder."""
        from .services import connection_identity

        return f"{connection_identity()} {node_cache.generation(f'wait {executing_node_id()}')}"

    @classmethod
    async def execute(cls, task_id: Sequence[str], timeout_minutes: Sequence[float]) -> io.NodeOutput:
        """Wait for all tasks at once; what one of them says wrong is told after the others are saved."""
        from .comfy.file_video import Wan27Video
        from .services import get_services, output_dir

        node_id = executing_node_id()
        if len(task_id) == 0:
            raise RequestError("task_id came as an empty list, so there is no task to wait for.")
        ids = [check_task_id(value) for value in task_id]
        services = await get_services()
        board = Board([Line(value) for value in ids], node_id=node_id, note=services.sandbox_note)
        outcomes = await until_interrupted(
            asyncio.gather(
                *map(partial(_wait, services), board.lines, _spread(timeout_minutes, ids)),
                return_exceptions=True,
            ),
            every=board.show,
            on_interrupt=partial(_say_what_goes_on, board),
        )
        await board.show()
        with explain_refused_image(
            not services.connection.is_sandbox and services.settings.storage.kind in ("auto", "inline")
        ):
            finished = _all_finished(outcomes, ids)
        paths = [item.path for item in finished]
        node_cache.remember(f"wait {node_id}", lambda: not all(path.is_file() for path in paths))
        return io.NodeOutput(
            [Wan27Video(str(path)) for path in paths],
            ids,
            [json.dumps(item.info, ensure_ascii=False) for item in finished],
            ui=ui.PreviewVideo([_preview(path, output_dir()) for path in paths]),
        )


async def _wait(services: Services, line: Line, minutes: float) -> Finished:
    finished = await services.runner.wait(
        line.task_id, connection=services.connection, on_update=line.update, timeout_seconds=minutes * 60
    )
    line.done = True
    return finished


def _say_what_goes_on(board: Board) -> None:
    """On the node and in the log, for an interrupt leaves nothing else behind."""
    from .runner.messages import goes_on

    texts = [goes_on(line.task_id) for line in board.lines if not line.done]
    for text in texts:
        log.info("Wan 2.7: %s", text)
    if texts:
        show_text("\n".join(texts), node_id=board.node_id)


def _spread(values: Sequence[float], ids: Sequence[str]) -> list[float]:
    """A value for each id; a shorter list repeats its last item, as ComfyUI does."""
    low, high = TIMEOUT_MINUTES
    for value in values:
        if not low <= value <= high:
            raise RequestError(f"timeout_minutes is {value!r}; it must be from {low:g} to {high:g}.")
    return [float(values[min(index, len(values) - 1)]) for index in range(len(ids))]


def _all_finished(outcomes: Sequence[Finished | BaseException], ids: Sequence[str]) -> list[Finished]:
    failures = [
        (task_id, outcome) for task_id, outcome in zip(ids, outcomes, strict=True) if isinstance(outcome, BaseException)
    ]
    if not failures:
        return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    if len(ids) == 1 or not all(isinstance(outcome, Wan27Error) for _, outcome in failures):
        raise failures[0][1]
    rest = len(ids) - len(failures)
    lines = [f"{len(failures)} of {len(ids)} tasks gave no video; {rest} were saved under output/wan27."]
    raise Wan27Error("\n".join(lines + [f"{task_id}: {outcome}" for task_id, outcome in failures]))


def _preview(path: Path, output: Path) -> ui.SavedResult:
    subfolder = path.parent.relative_to(output).as_posix()
    return ui.SavedResult(path.name, "" if subfolder == "." else subfolder, io.FolderType.output)
