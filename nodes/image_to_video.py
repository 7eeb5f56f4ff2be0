"""Wan 2.7 Image to Video: from a request to a task. The only node that costs money."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from comfy_api.latest import io

from .api.request import MEDIA_FIELDS
from .comfy import node_cache
from .comfy.node_inputs import literal_problems, only, requests_of
from .comfy.queue_budget import budget_problem
from .comfy.runtime import executing_node_id, executing_prompt_id, show_text, until_interrupted
from .core import limits
from .core.limits import ON_REPEAT
from .storage.inline import explain_refused_image

log = logging.getLogger(__name__)

CATEGORY = "video/Wan 2.7"

_CLIP = limits.CLIP
_IMAGE = limits.IMAGE
_AUDIO = limits.AUDIO

_URL_TOOLTIPS = {
    "image_url": (
        "First frame: the url output of Wan 2.7 Upload Image, or a public URL. Excludes first_clip_url. "
        f"{_IMAGE.min_side}-{_IMAGE.max_side} px a side, at most {_IMAGE.max_bytes // limits.MB} MB."
    ),
    "last_frame_url": (
        "Last frame: the url output of Wan 2.7 Upload Image, or a public URL. Needs a first frame or a clip. "
        f"{_IMAGE.min_side}-{_IMAGE.max_side} px a side, at most {_IMAGE.max_bytes // limits.MB} MB."
    ),
    "first_clip_url": (
        "Clip to continue: the url output of Wan 2.7 Upload Video, or a public URL. Excludes image_url and audio. "
        f"mp4 or mov, {_CLIP.min_seconds:g}-{_CLIP.max_seconds:g} s, at most {_CLIP.max_bytes // limits.MB} MB."
    ),
    "driving_audio_url": (
        "Sound that drives lips and motion: the url output of Wan 2.7 Upload Audio, or a public URL. Needs a first "
        f"frame. {_AUDIO.min_seconds:g}-{_AUDIO.max_seconds:g} s, at most {_AUDIO.max_bytes // limits.MB} MB. Longer "
        "than duration is cut, shorter leaves the rest silent. Not linked: the model writes its own soundtrack."
    ),
}


class Wan27ImageToVideo(io.ComfyNode):
    """Sends a request and gives out the id of the task. A list of URLs makes as many tasks, at the same time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        low, high = limits.DURATION_SECONDS
        return io.Schema(
            node_id="Wan27ImageToVideo",
            display_name="Wan 2.7 Image to Video",
            category=CATEGORY,
            description=(
                "Asks the hosted Wan 2.7 service for a video and gives out its task id. This is the node that costs "
                "money: whole output seconds times the price of the resolution. The same request is never paid twice. "
                "Link task_id to Wan 2.7 Wait for Video. Without a key it runs in the sandbox, for free."
            ),
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
                io.Combo.Input(
                    "resolution",
                    options=list(limits.RESOLUTIONS),
                    default=limits.DEFAULT_RESOLUTION,
                    tooltip=(
                        "Sets the price. The size follows the input's aspect; the area is near 1280x720 or 1920x1080."
                    ),
                ),
                io.Int.Input(
                    "duration",
                    default=limits.DEFAULT_DURATION_SECONDS,
                    min=low,
                    max=high,
                    tooltip=(
                        f"Seconds of the whole video, {low}-{high}, each one billed. With a clip this is the "
                        "total, the clip included, so it must be longer than the clip."
                    ),
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=limits.SEED[0],
                    max=limits.SEED[1],
                    # Not True: frontends randomize such a seed after each queueing, and the next queueing would then
                    # pay for a new video instead of collecting the one that is paid for.
                    control_after_generate=False,
                    tooltip=(
                        "Change it to get another video from the same inputs. With the same seed and inputs the video "
                        "that was paid for is used again."
                    ),
                ),
                io.Boolean.Input(
                    "prompt_extend",
                    default=True,
                    tooltip="Let a language model of the service rewrite short prompts. Often better, a little slower.",
                ),
                io.Boolean.Input(
                    "watermark", default=False, tooltip="Put the service's mark into the bottom right corner."
                ),
                io.Combo.Input(
                    "on_repeat",
                    options=list(ON_REPEAT),
                    default=ON_REPEAT[0],
                    tooltip=(
                        "reuse: a request that was paid for already gives its task and its video again, for free. "
                        "submit_again: pay for another one, each time this node is queued."
                    ),
                ),
                *(
                    io.String.Input(field, default="", optional=True, tooltip=_URL_TOOLTIPS[field])
                    for field in MEDIA_FIELDS
                ),
            ],
            outputs=[
                io.String.Output(
                    "task_id",
                    display_name="task_id",
                    is_output_list=True,
                    tooltip="The task; link it to Wan 2.7 Wait for Video.",
                ),
                io.Float.Output(
                    "estimated_cost",
                    display_name="estimated_cost",
                    is_output_list=True,
                    tooltip="USD, from the prices in the settings: an estimate. 0 where nothing new was sent.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, on_repeat: Any = None, **_: Any) -> Any:
        """Run again when requests go elsewhere now, when a task failed, and each time another video is asked for."""
        from .services import connection_identity

        if on_repeat is not None and "submit_again" in on_repeat:
            return float("nan")
        return f"{connection_identity()} {node_cache.generation(f'submit {executing_node_id()}')}"

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
        """What is certain before anything runs. Linked inputs come as None; duration and seed the core checks."""
        media = dict(zip(MEDIA_FIELDS, (image_url, last_frame_url, first_clip_url, driving_audio_url), strict=True))
        problems = literal_problems(
            prompt=only(prompt),
            negative_prompt=only(negative_prompt),
            resolution=only(resolution),
            on_repeat=only(on_repeat),
            media={field: only(value) for field, value in media.items()},
        )
        if not problems and (over := await asyncio.to_thread(budget_problem)):
            problems.append(over)
        return "\n".join(problems) or True

    @classmethod
    async def execute(cls, **inputs: Sequence[Any]) -> io.NodeOutput:
        """Check, reserve, send: all items of the batch together, or none."""
        from .runner.models import Order
        from .services import get_services

        node_id = executing_node_id() or ""
        requests = requests_of(inputs)
        services = await get_services()
        prompt_id = executing_prompt_id()
        orders = []
        for request, on_repeat in requests:
            clip_seconds = await asyncio.to_thread(services.clip_seconds, request)
            request.check(clip_seconds=clip_seconds)
            orders.append(
                Order(
                    request=request,
                    connection=services.connection,
                    on_repeat=on_repeat,
                    prompt_id=prompt_id,
                    node_id=node_id,
                )
            )
        with explain_refused_image(
            any(url.startswith("data:") for request, _ in requests for url in request.media().values())
        ):
            submitted = await until_interrupted(
                services.runner.submit_batch(orders),
                on_interrupt=partial(_say_what_goes_on, len(orders), node_id),
            )
        ids = [item.task_id for item in submitted]
        node_cache.remember(f"submit {node_id}", partial(services.any_failed, ids))
        lines = [f"{item.task_id}{' (reused)' if item.reused else ''} {item.note}".strip() for item in submitted]
        show_text("\n".join(filter(None, [services.sandbox_note, *lines])), node_id=node_id)
        return io.NodeOutput(ids, [item.estimated_cost for item in submitted])


def _say_what_goes_on(requests: int, node_id: str) -> None:
    """On the node and in the log, for an interrupt leaves nothing else behind."""
    from .runner.messages import sent_goes_on

    text = sent_goes_on(requests)
    log.info("Wan 2.7: %s", text)
    show_text(text, node_id=node_id)
