"""From a node's inputs to requests: what is wrong with literal values, and one request for each item of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from numbers import Integral
from typing import Any

from ..api.request import MEDIA_FIELDS, VideoRequest, combination_problems, text_problems, url_problems
from ..core import limits
from ..core.errors import RequestError
from ..core.limits import ON_REPEAT


def literal_problems(
    *, prompt: Any, negative_prompt: Any, resolution: Any, on_repeat: Any, media: Mapping[str, Any]
) -> list[str]:
    """What is wrong with literal values. None stands for a linked value, of which nothing is known yet."""
    problems = list(text_problems(prompt=prompt, negative_prompt=negative_prompt))
    if resolution is not None and resolution not in limits.RESOLUTIONS:
        problems.append(f"resolution is {resolution!r}; possible are {' and '.join(limits.RESOLUTIONS)}.")
    if on_repeat is not None and on_repeat not in ON_REPEAT:
        problems.append(f"on_repeat is {on_repeat!r}; possible are {' and '.join(ON_REPEAT)}.")
    for field, value in media.items():
        if value:
            problems += url_problems(field, value)
    return problems + certain_combination_problems(
        {field for field, value in media.items() if value}, {field for field, value in media.items() if value is None}
    )


def certain_combination_problems(given: set[str], linked: set[str]) -> list[str]:
    """What is wrong with the media whatever the links bring: a link may turn out empty, where a switch feeds it."""
    problems: list[str] = []
    for count in range(len(linked) + 1):
        for some in combinations(sorted(linked), count):
            problems = list(combination_problems(given | set(some)))
            if not problems:
                return []
    return problems


def requests_of(inputs: Mapping[str, Sequence[Any]]) -> list[tuple[VideoRequest, Any]]:
    """One request, with its on_repeat, for each item of the longest list; a shorter list repeats its last item.

    Raises:
        RequestError: an empty list came over a link, or a value has no meaning.
    """
    for name, values in inputs.items():
        if len(values) == 0:
            raise RequestError(f"{name} came as an empty list, so there is nothing to make a video of.")
    found = []
    for index in range(max(len(values) for values in inputs.values())):
        item = {name: values[min(index, len(values) - 1)] for name, values in inputs.items()}
        on_repeat = item.pop("on_repeat", ON_REPEAT[0])
        problems = literal_problems(
            prompt=as_text(item["prompt"]),
            negative_prompt=as_text(item["negative_prompt"]),
            resolution=item["resolution"],
            on_repeat=on_repeat,
            media={field: as_text(item.get(field)) for field in MEDIA_FIELDS},
        )
        if problems:
            raise RequestError("\n".join(problems))
        found.append((_request(item), on_repeat))
    return found


def _request(item: dict[str, Any]) -> VideoRequest:
    return VideoRequest(
        prompt=as_text(item["prompt"]),
        negative_prompt=as_text(item["negative_prompt"]),
        resolution=item["resolution"],
        duration=_whole(item["duration"]),
        seed=_whole(item["seed"]),
        prompt_extend=bool(item["prompt_extend"]),
        watermark=bool(item["watermark"]),
        **{field: as_text(item.get(field)) or None for field in MEDIA_FIELDS},
    )


def _whole(value: Any) -> Any:
    """Nodes that do sums hand out numpy's whole numbers too; everything else is for the check of the request."""
    return int(value) if isinstance(value, Integral) else value


def as_text(value: Any) -> str:
    """As it is sent: without white space around it."""
    return "" if value is None else str(value).strip()


def only(value: Any) -> Any:
    """With lists as inputs, ComfyUI hands a literal over as a list of one."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    return value.strip() if isinstance(value, str) else value
