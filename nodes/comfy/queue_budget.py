"""What is certain already when a prompt is queued: the cost of the videos it asks for.

ComfyUI shows its on-prompt handlers the whole graph, but swallows what they raise; it validates the nodes right after,
in the same asyncio task. So the handler only keeps the graph, and the node's `validate_inputs` asks for the verdict.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from ..api.connection import estimated_cost
from ..api.request import MEDIA_FIELDS
from ..core import limits
from ..core.errors import BudgetError
from .node_inputs import as_text
from .prompt_graph import node_classes, surely_run

NODE_ID = "Wan27ImageToVideo"

_TEXTS = ("prompt", "negative_prompt", "resolution")
_NUMBERS = ("duration", "seed")
_LITERALS = (*_TEXTS, *_NUMBERS, "prompt_extend", "watermark")

_queued: ContextVar[tuple[Mapping[str, Any], Any] | None] = ContextVar("wan27_queued", default=None)
"""The graph, and which of its output nodes are to run: None for all."""


def register() -> None:
    """Have ComfyUI show the graph of each prompt before it validates it."""
    try:
        from server import PromptServer
    except ImportError:
        return
    instance = getattr(PromptServer, "instance", None)
    if instance is not None:
        instance.add_on_prompt_handler(_remember)


def _remember(json_data: Any) -> Any:
    posted = json_data if isinstance(json_data, Mapping) else {}
    prompt = posted.get("prompt")
    _queued.set((prompt, posted.get("partial_execution_targets")) if isinstance(prompt, Mapping) else None)
    return json_data


def certain_requests(prompt: Mapping[str, Any], run: Container[str]) -> Iterator[Mapping[str, Any]]:
    """The inputs of the Image to Video nodes whose cost stands in the graph: duration and resolution are literal.

    Args:
        prompt: the API format.
        run: the ids of the nodes that surely run.
    """
    low, high = limits.DURATION_SECONDS
    for node_id, node in prompt.items():
        if node_id not in run or not isinstance(node, Mapping) or node.get("class_type") != NODE_ID:
            continue
        inputs = node.get("inputs")
        if not isinstance(inputs, Mapping):
            continue
        try:
            duration = int(inputs.get("duration", limits.DEFAULT_DURATION_SECONDS))
        except (TypeError, ValueError):
            continue
        if low <= duration <= high and inputs.get("resolution", limits.DEFAULT_RESOLUTION) in limits.RESOLUTIONS:
            yield {**inputs, "duration": duration}


def surely_different(requests: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """As many of these requests as are surely paid for one by one: equal ones share a task, unless asked otherwise.

    What is linked may turn out equal, and so may the media behind two URLs.
    """
    chosen: list[Mapping[str, Any]] = []
    # Those that never share come first, then the longest: what is left out may be another's twin.
    for request in sorted(requests, key=lambda r: (not _submits_again(r), -r["duration"])):
        if _submits_again(request) or not any(_may_be_equal(request, other) for other in chosen):
            chosen.append(request)
    return chosen


def _submits_again(request: Mapping[str, Any]) -> bool:
    return request.get("on_repeat") == "submit_again"


def _may_be_equal(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    for name in _LITERALS:
        values = one.get(name), other.get(name)
        if not any(map(_is_linked, values)) and _as_sent(name, values[0]) != _as_sent(name, values[1]):
            return False
    media = [(one.get(name), other.get(name)) for name in MEDIA_FIELDS]
    return all(_is_linked(a) or _is_linked(b) or bool(as_text(a)) == bool(as_text(b)) for a, b in media)


def _is_linked(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def may_be_known(inputs: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether a node with these inputs may turn out to ask for a request that is paid for already.

    Args:
        inputs: of the node; what is linked may become anything.
        stored: a request of the ledger, unset fields left out.
    """
    for name in _LITERALS:
        value = inputs.get(name)
        if not _is_linked(value) and _as_sent(name, value) != _as_sent(name, stored.get(name)):
            return False
    return True


def _as_sent(name: str, value: Any) -> Any:
    """A literal as the request will have it: the graph has what was typed, such as a line break after the prompt."""
    if name in _NUMBERS:
        try:
            return int(value or 0)
        except (TypeError, ValueError):
            return value
    return as_text(value) if name in _TEXTS else bool(value)


def budget_problem() -> str | None:
    """Why the prompt being queued cannot be within the budget, or None where that is not certain."""
    queued = _queued.get()
    if queued is None:
        return None
    from ..ledger.budget import check
    from ..services import connection_is_billed, current_settings, open_ledger

    settings = current_settings()
    if not connection_is_billed(settings):
        return None
    prices, budget = settings.novita.price_per_second, settings.budget

    def verdict(requests: list[Mapping[str, Any]], spent_today: float) -> str | None:
        found = surely_different(requests)
        costs = [estimated_cost(r["duration"], r.get("resolution", limits.DEFAULT_RESOLUTION), prices) for r in found]
        try:
            check(sum(costs), budget=budget, spent_today=spent_today, videos=len(costs))
        except BudgetError as error:
            return str(error)
        return None

    prompt, targets = queued
    requests = list(certain_requests(prompt, surely_run(prompt, targets, node_classes())))
    if not requests:
        return None
    ledger = open_ledger()
    _, today = ledger.spent()
    if verdict(requests, today) is None:
        return None
    # It looks too much; but what is paid for already costs nothing, and must never be locked out by the budget.
    known = ledger.known_requests()
    new = [r for r in requests if _submits_again(r) or not any(may_be_known(r, k) for k in known)]
    return verdict(new, today)
