"""The budget check when a prompt is queued: refuses videos that are certain to exceed the budget.

ComfyUI shows each prompt to its on-prompt handlers, but ignores what they raise; it validates the nodes right after, in
the same asyncio task. So the handler only stores the prompt, and the node's `validate_inputs` checks the budget.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..api.connection import estimated_cost
from ..api.request import MEDIA_FIELDS
from ..core import limits
from ..core.errors import BudgetError
from ..ledger.budget import check as check_budget
from .node_inputs import as_text
from .prompt_graph import certain_to_run, node_classes

if TYPE_CHECKING:
    from ..config import Budget
    from ..ledger import Ledger

NODE_ID = "Wan27ImageToVideo"

_TEXTS = ("prompt", "negative_prompt", "resolution")
_NUMBERS = ("duration", "seed")
_LITERALS = (*_TEXTS, *_NUMBERS, "prompt_extend", "watermark")


class QueuedPrompt:
    """The prompt that is being queued in the current asyncio task."""

    def __init__(self) -> None:
        self._queued: ContextVar[tuple[Mapping[str, Any], Any] | None] = ContextVar("wan27_queued", default=None)

    def on_prompt(self, json_data: Any) -> Any:
        """Store the posted prompt, and which of its output nodes will run. A handler that ComfyUI calls.

        Returns `json_data`, as ComfyUI expects.
        """
        posted = json_data if isinstance(json_data, Mapping) else {}
        prompt = posted.get("prompt")
        self._queued.set((prompt, posted.get("partial_execution_targets")) if isinstance(prompt, Mapping) else None)
        return json_data

    def certain_requests(self) -> list[Mapping[str, Any]]:
        """Return the inputs of the Image to Video nodes that are certain to run and whose cost is known."""
        queued = self._queued.get()
        if queued is None:
            return []
        prompt, targets = queued
        return list(requests_of_known_cost(prompt, certain_to_run(prompt, targets, node_classes())))


def requests_of_known_cost(prompt: Mapping[str, Any], node_ids: Container[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the inputs of the Image to Video nodes among `node_ids` whose duration and resolution are literal."""
    low, high = limits.DURATION_SECONDS
    for node_id, node in prompt.items():
        if node_id not in node_ids or not isinstance(node, Mapping) or node.get("class_type") != NODE_ID:
            continue
        inputs = node.get("inputs")
        if not isinstance(inputs, Mapping):
            continue
        try:
            duration = int(inputs.get("duration", limits.DEFAULT_DURATION_SECONDS))
        except (TypeError, ValueError):
            continue
        resolution = inputs.get("resolution", limits.DEFAULT_RESOLUTION)
        if low <= duration <= high and resolution in limits.RESOLUTIONS:
            yield {**inputs, "duration": duration, "resolution": resolution}


def budget_problem(
    requests: Sequence[Mapping[str, Any]], *, prices: Mapping[str, float], budget: Budget, ledger: Ledger
) -> str | None:
    """Return why these requests exceed the budget, or None if that is not certain.

    `requests` are those of `requests_of_known_cost`; `prices` are USD per second for each resolution.
    """
    _, spent_today = ledger.spent()

    def problem(costs: Sequence[float]) -> str | None:
        try:
            check_budget(sum(costs), budget=budget, spent_today=spent_today, videos=len(costs))
        except BudgetError as error:
            return str(error)
        return None

    if problem([_certain_cost(r, prices, ledger) for r in certainly_different(requests)]) is None:
        return None
    return problem(certain_costs(requests, prices=prices, ledger=ledger))


def certain_costs(requests: Iterable[Mapping[str, Any]], *, prices: Mapping[str, float], ledger: Ledger) -> list[float]:
    """Return the estimates of the videos that are certain to be paid for.

    A video that was submitted before costs nothing, and no limit must ever lock it out.
    """
    known = ledger.known_requests()
    new = [r for r in requests if _submits_again(r) or not any(may_match(r, k) for k in known)]
    return [_certain_cost(r, prices, ledger) for r in certainly_different(new)]


def _certain_cost(request: Mapping[str, Any], prices: Mapping[str, float], ledger: Ledger) -> float:
    """Return the least that the budget will reserve for a request."""
    clip, image = request.get("first_clip_url"), request.get("image_url")
    seconds: float | None = 0.0  # the length behind a link is not known yet
    if _is_linked(clip):
        has_clip = not _is_linked(image) and not as_text(image)  # or the link may turn out empty
    else:
        has_clip = bool(as_text(clip))
        upload = ledger.uploads.by_url(as_text(clip)) if has_clip else None
        seconds = None if upload is None else upload.seconds
    duration, resolution = request["duration"], request["resolution"]
    return estimated_cost(duration, resolution, prices, clip=has_clip, clip_seconds=seconds).high


def certainly_different(requests: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return as many requests as are certainly billed separately: equal ones share a task, unless on_repeat differs.

    Linked inputs may turn out equal, and so may the media behind two URLs.
    """
    chosen: list[Mapping[str, Any]] = []
    # Those that never share a task come first, then the longest: a request that is left out may equal another one.
    for request in sorted(requests, key=lambda r: (not _submits_again(r), -r["duration"])):
        if _submits_again(request) or not any(_may_be_equal(request, other) for other in chosen):
            chosen.append(request)
    return chosen


def may_match(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two requests may agree in everything but their media: a linked input may have any value.

    Each is the inputs of a node, or a request in the ledger, which lacks its unset fields.
    """
    values = ((name, one.get(name), other.get(name)) for name in _LITERALS)
    return all(_is_linked(a) or _is_linked(b) or _as_sent(name, a) == _as_sent(name, b) for name, a, b in values)


def _submits_again(request: Mapping[str, Any]) -> bool:
    return request.get("on_repeat") == "submit_again"


def _may_be_equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    media = ((one.get(name), other.get(name)) for name in MEDIA_FIELDS)
    return may_match(one, other) and all(
        _is_linked(a) or _is_linked(b) or bool(as_text(a)) == bool(as_text(b)) for a, b in media
    )


def _is_linked(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _as_sent(name: str, value: Any) -> Any:
    """Convert a literal to what the request will contain: the graph has it as typed, say with a final line break."""
    if name in _NUMBERS:
        try:
            return int(value or 0)
        except (TypeError, ValueError):
            return value
    return as_text(value) if name in _TEXTS else bool(value)
