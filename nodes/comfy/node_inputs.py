"""From a node's inputs to requests: problems with literal values, and one request for each item of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from numbers import Integral
from typing import Any

from ..api.request import MEDIA_FIELDS, VideoRequest, combination_problems, text_problems, url_problems
from ..core.errors import RequestError, reworded
from ..core.limits import ON_REPEAT, RESOLUTIONS, choice_problems


def literal_problems(
    *, prompt: Any, negative_prompt: Any, resolution: Any, on_repeat: Any, media: Mapping[str, Any]
) -> list[str]:
    """Return what is wrong with literal values. None stands for a linked value, which is not known yet."""
    problems = [
        *text_problems(prompt=prompt, negative_prompt=negative_prompt),
        *literal_choice_problems(resolution=(resolution, RESOLUTIONS), on_repeat=(on_repeat, ON_REPEAT)),
    ]
    for field, value in media.items():
        if value:
            problems += url_problems(field, value)
    given = {field for field, value in media.items() if value}
    linked = {field for field, value in media.items() if value is None}
    return problems + _certain_combination_problems(given, linked)


def literal_choice_problems(**values: tuple[Any, Sequence[str]]) -> list[str]:
    """Return what is wrong with choices, given as (value, choices); ComfyUI does not check those of V3 nodes.

    None stands for a linked value, which is not known yet.
    """
    return list(choice_problems(**{name: value for name, value in values.items() if value[0] is not None}))


def _certain_combination_problems(given: set[str], linked: set[str]) -> list[str]:
    """Return what is wrong with the media whatever the links deliver: a link from a switch may turn out empty."""
    problems: list[str] = []
    for count in range(len(linked) + 1):
        for some in combinations(sorted(linked), count):
            problems = list(combination_problems(given | set(some)))
            if not problems:
                return []
    return problems


def requests_from_inputs(inputs: Mapping[str, Sequence[Any]]) -> list[tuple[VideoRequest, Any]]:
    """Return one checked request, with its on_repeat, for each item of the longest list.

    A shorter list repeats its last item. Raises RequestError if a list is empty or a value is not allowed.
    """
    for name, values in inputs.items():
        if len(values) == 0:
            raise RequestError(f"{name} is an empty list, so there is nothing to make a video from.")
    requests = []
    count = max(len(values) for values in inputs.values())
    for index in range(count):
        item = {name: values[min(index, len(values) - 1)] for name, values in inputs.items()}
        try:
            requests.append(_checked_request(item))
        except RequestError as error:
            if count == 1:
                raise
            raise reworded(error, f"Request {index + 1} of {count}: {error}") from None
    return requests


def _checked_request(item: Mapping[str, Any]) -> tuple[VideoRequest, Any]:
    request = VideoRequest(
        prompt=as_text(item["prompt"]),
        negative_prompt=as_text(item["negative_prompt"]),
        resolution=item["resolution"],
        duration=_as_int(item["duration"]),
        seed=_as_int(item["seed"]),
        prompt_extend=_as_bool("prompt_extend", item["prompt_extend"]),
        watermark=_as_bool("watermark", item["watermark"]),
        **{field: as_text(item.get(field)) or None for field in MEDIA_FIELDS},
    )
    request.check()
    on_repeat = item.get("on_repeat", ON_REPEAT[0])
    if problems := list(choice_problems(on_repeat=(on_repeat, ON_REPEAT))):
        raise RequestError("\n".join(problems))
    return request, on_repeat


def _as_int(value: Any) -> Any:
    """Convert the integers of numpy, which math nodes output. Anything else is left to the check of the request."""
    return int(value) if isinstance(value, Integral) else value


def _as_bool(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, Integral)) and type(value).__name__ not in ("bool", "bool_"):  # numpy's, too
        raise RequestError(f"{name} is {value!r}; it must be true or false.")
    return bool(value)


def as_text(value: Any) -> str:
    """Return text as it is sent: without white space around it."""
    return "" if value is None else str(value).strip()


def literal_value(value: Any) -> Any:
    """Return the literal of an input: with lists as inputs, ComfyUI passes it as a list of one."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    return value.strip() if isinstance(value, str) else value
