"""Wan 2.7 Image to Video: from a request to a task. The only node that costs money."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .api.hosts import dialect_of
from .api.request import MEDIA_FIELDS, VideoRequest
from .comfy.node_inputs import literal_problems, literal_value, requests_from_inputs
from .comfy.node_schema import (
    AUDIO_LIMITS,
    CATEGORY,
    CLIP_LIMITS,
    IMAGE_LIMITS,
    aliases,
    choice,
    output,
    supported,
)
from .comfy.prompt_graph import running_workflow
from .comfy.queue_budget import budget_problem, certain_costs
from .comfy.runtime import executing, graph_node_id, report, show_text, until_interrupted
from .core import limits
from .core.errors import BudgetError, RequestError
from .core.hosts import SANDBOX
from .core.limits import ON_REPEAT
from .services import Services, get_process
from .storage.inline import explain_refused_image

if TYPE_CHECKING:
    from .ledger import Ledger
    from .runner.models import Order

log = logging.getLogger(__name__)

_URL_TOOLTIPS = {
    "image_url": (
        "First frame: the url output of Wan 2.7 Upload Image, or a public URL. Cannot be combined with first_clip_url. "
        + IMAGE_LIMITS
    ),
    "last_frame_url": (
        "Last frame: the url output of Wan 2.7 Upload Image, or a public URL. Needs a first frame or a clip. "
        + IMAGE_LIMITS
    ),
    "first_clip_url": (
        "Clip to continue: the url output of Wan 2.7 Upload Video, or a public URL. Cannot be combined with image_url "
        f"or audio. mp4 or mov. {CLIP_LIMITS}"
    ),
    "driving_audio_url": (
        "Audio that drives lips and motion: the url output of Wan 2.7 Upload Audio, or a public URL. Needs a first "
        f"frame. {AUDIO_LIMITS} Audio longer than duration is cut; shorter audio leaves the rest silent. Not linked: "
        "the model makes its own soundtrack."
    ),
}


class Wan27ImageToVideo(io.ComfyNode):
    """Sends requests and outputs the ids of their tasks. A list of URLs gives as many tasks, at the same time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        low, high = limits.DURATION_SECONDS
        return io.Schema(
            node_id="Wan27ImageToVideo",
            display_name="Wan 2.7 Image to Video",
            category=CATEGORY,
            description=(
                "Requests a video from the hosted Wan 2.7 service and outputs the id of its task. This is the only "
                "node that costs money: whole output seconds times the price of the resolution; a clip may be billed "
                "with 2-5 s of it on top. You never pay twice for the same request. Link task_id to Wan 2.7 Wait for "
                "Video. Without a key it runs in the sandbox, for free."
            ),
            **aliases("image to video", "i2v", "first last frame", "continue video", "audio to video", "lip sync"),
            is_input_list=True,
            inputs=[
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="",
                    tooltip=f"What happens in the video. At most {limits.PROMPT_CHARS} characters.",
                ),
                io.String.Input(
                    "negative_prompt",
                    multiline=True,
                    default="",
                    tooltip=f"What to keep out of the video. At most {limits.NEGATIVE_PROMPT_CHARS} characters.",
                ),
                choice(
                    "resolution",
                    limits.RESOLUTIONS,
                    "Sets the price. The aspect ratio follows the input; the area is about 1280x720 or 1920x1080.",
                    default=limits.DEFAULT_RESOLUTION,
                ),
                io.Int.Input(
                    "duration",
                    default=limits.DEFAULT_DURATION_SECONDS,
                    min=low,
                    max=high,
                    tooltip=(
                        f"Seconds of the whole video, {low}-{high}, each one billed. With a clip this is the total "
                        "length including the clip, so it must be longer than the clip."
                    ),
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=limits.SEED[0],
                    max=limits.SEED[1],
                    # Not True: frontends would change the seed after each queueing, and the next queueing would then
                    # pay for a new video instead of collecting the one that was already submitted.
                    control_after_generate=False,
                    tooltip=(
                        "Change it to get another video from the same inputs. With the same seed and inputs, the video "
                        "that was made before is used again."
                    ),
                ),
                io.Boolean.Input(
                    "prompt_extend",
                    default=True,
                    tooltip="Let a language model of the service rewrite short prompts. Often better, a little slower.",
                    **supported(io.Boolean.Input, advanced=True),
                ),
                io.Boolean.Input(
                    "watermark",
                    default=False,
                    tooltip="Put the service's mark in the bottom right corner, if it has one.",
                    **supported(io.Boolean.Input, advanced=True),
                ),
                choice(
                    "on_repeat",
                    ON_REPEAT,
                    "reuse: a request that was already submitted returns its task and its video again, for free. "
                    "submit_again: pay for another video each time you queue.",
                ),
                *(
                    io.String.Input(field, default="", optional=True, tooltip=_URL_TOOLTIPS[field])
                    for field in MEDIA_FIELDS
                ),
            ],
            outputs=[
                output(io.String, "task_id", "The id of the task. Link it to Wan 2.7 Wait for Video.", is_list=True),
                output(
                    io.Float,
                    "estimated_cost",
                    "Estimate in USD, with a clip the upper one. 0 if nothing new was sent.",
                    is_list=True,
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, on_repeat: Any = None, **_: Any) -> Any:
        """Run again if requests go elsewhere now, if a task failed, and each time another video is wanted."""
        if on_repeat is not None and "submit_again" in on_repeat:
            return float("nan")
        process = get_process()
        return f"{process.connection_identity()} {process.node_cache.generation(f'submit {executing()[1]}')}"

    @classmethod
    async def validate_inputs(
        cls,
        prompt: Any = "",
        negative_prompt: Any = "",
        resolution: Any = limits.DEFAULT_RESOLUTION,
        on_repeat: Any = ON_REPEAT[0],
        image_url: Any = "",
        last_frame_url: Any = "",
        first_clip_url: Any = "",
        driving_audio_url: Any = "",
    ) -> bool | str:
        """Check what is known before anything runs. Linked inputs are None; ComfyUI checks duration and seed."""
        media = dict(zip(MEDIA_FIELDS, (image_url, last_frame_url, first_clip_url, driving_audio_url), strict=True))
        problems = literal_problems(
            prompt=literal_value(prompt),
            negative_prompt=literal_value(negative_prompt),
            resolution=literal_value(resolution),
            on_repeat=literal_value(on_repeat),
            media={field: literal_value(value) for field, value in media.items()},
        )
        problems = problems or await asyncio.to_thread(_host_problems, media)
        if not problems and (over := await asyncio.to_thread(_queued_budget_problem) or await _low_balance()):
            problems.append(over)
        return "\n".join(problems) or True

    @classmethod
    async def execute(cls, **inputs: Sequence[Any]) -> io.NodeOutput:
        """Check, reserve and send all items of the batch together, or none."""
        prompt_id, node_id = executing()
        requests = requests_from_inputs(inputs)
        process = get_process()
        services = await process.services()
        orders = await asyncio.to_thread(
            _orders, services, requests, prompt_id=prompt_id, node_id=graph_node_id(node_id)
        )
        inline = any(url.startswith("data:") for request, _ in requests for url in request.media().values())
        with explain_refused_image(inline, services.connection.host.title):
            submitted = await until_interrupted(
                services.runner.submit_batch(orders),
                on_interrupt=partial(_tell_what_continues, len(orders), node_id),
            )
        ids = [item.task_id for item in submitted]
        process.node_cache.add_check(f"submit {node_id}", partial(_any_failed, services, ids), prompt_id=prompt_id)
        for item in submitted:
            log.info("Wan 2.7: %s", f"task {item.task_id} {item.note}".strip())
        show_text(services.paid_note(submitted), node_id=node_id)
        return io.NodeOutput(ids, [item.estimated_cost for item in submitted])


def _host_problems(media: Mapping[str, Any]) -> list[str]:
    """Return why the host that is set would refuse literal URLs."""
    process = get_process()
    settings = process.settings()
    given = {field: value for field, url in media.items() if (value := literal_value(url))}
    dialect = dialect_of(SANDBOX if settings.in_sandbox else settings.current.host.name)
    audio = given.get("driving_audio_url")
    return dialect.problems(VideoRequest(**given), audio_seconds=_seconds(process.ledger(), audio) if audio else None)


def _queued_budget_problem() -> str | None:
    """Return why the prompt being queued is certain to exceed the budget, or None."""
    process = get_process()
    settings = process.settings()
    requests = [] if settings.in_sandbox else process.queued_prompt.certain_requests()
    if not requests:
        return None
    prices = settings.current.price_per_second
    return budget_problem(requests, prices=prices, budget=settings.budget, ledger=process.ledger())


async def _low_balance() -> str | None:
    """Return why the account does not hold enough for what is certain to be paid for in the prompt being queued."""
    process = get_process()
    settings = process.settings()
    if settings.in_sandbox or not settings.budget.min_balance_usd:
        return None
    requests, prices = process.queued_prompt.certain_requests(), settings.current.price_per_second
    costs = await asyncio.to_thread(certain_costs, requests, prices=prices, ledger=process.ledger())
    try:
        if costs:
            services = await process.services()
            await services.check_balance(sum(costs))
    except BudgetError as error:
        return str(error)
    return None


def _orders(services: Services, requests: Sequence[tuple[Any, Any]], *, prompt_id: str, node_id: str) -> list[Order]:
    """Return the orders.

    Raises RequestError if a clip uploaded from here is not shorter than the duration, or if the host would refuse one.
    """
    from .runner.models import Order

    orders = []
    workflow = running_workflow(prompt_id)
    for request, on_repeat in requests:
        request.check(clip_seconds=_seconds(services.ledger, request.first_clip_url))
        audio_seconds = _seconds(services.ledger, request.driving_audio_url)
        if problems := services.connection.dialect.problems(request, audio_seconds=audio_seconds):
            raise RequestError("\n".join(problems))
        orders.append(Order(request, services.connection, on_repeat, prompt_id, node_id, workflow))
    return orders


def _seconds(ledger: Ledger, url: str | None) -> float | None:
    """Return the length of a media file that was uploaded from here, None if it is not known."""
    upload = ledger.uploads.by_url(url) if url else None
    return None if upload is None else upload.seconds


def _any_failed(services: Services, task_ids: Sequence[str]) -> bool:
    """Return whether one of these tasks is known to have failed: then the same request would be submitted again."""
    from .runner.models import service_of

    service = service_of(services.connection)
    records = (services.ledger.find(task_id, service) for task_id in task_ids)
    return any(record is not None and record.state == "failed" for record in records)


def _tell_what_continues(requests: int, node_id: str) -> None:
    """Show it on the node and in the log: an interrupt leaves nothing else behind."""
    from .runner.messages import sent_goes_on

    report([sent_goes_on(requests)], node_id=node_id)
