"""What the graph around a node looks like: which of its outputs somebody uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def linked_outputs(prompt: Mapping[str, Any], node_id: str) -> set[int]:
    """The indices of the outputs of `node_id` that an input in `prompt` is linked to.

    `prompt` is the API format: {id: {"class_type": ..., "inputs": {name: value or [id, output index]}}}.
    """
    found: set[int] = set()
    for node in prompt.values():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(inputs, Mapping):
            continue
        for value in inputs.values():
            if _is_link(value) and str(value[0]) == node_id:
                found.add(int(value[1]))
    return found


def running_prompt(prompt_id: str) -> Mapping[str, Any] | None:
    """The prompt with this id as it was queued, or None where it is not running or there is no server."""
    try:
        from server import PromptServer
    except ImportError:
        return None
    queue = getattr(getattr(PromptServer, "instance", None), "prompt_queue", None)
    running = getattr(queue, "currently_running", None)
    if not isinstance(running, Mapping):
        return None
    for item in list(running.values()):
        # An item is (number, prompt_id, prompt, extra_data, outputs to execute, ...).
        if isinstance(item, (tuple, list)) and len(item) > 2 and item[1] == prompt_id:
            return item[2] if isinstance(item[2], Mapping) else None
    return None


def outputs_in_use() -> set[int] | None:
    """The outputs of the node being fingerprinted or executed that are linked; None where it cannot be known.

    It cannot be known for a node that another node's expansion made, and in a host without ComfyUI's queue.
    Read it from this one place in `fingerprint_inputs` and in `execute`: were the two to disagree, the output
    cache would give out a result in which an output linked later is missing.
    """
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return None
    context = get_executing_context()
    if context is None:
        return None
    prompt = running_prompt(context.prompt_id)
    if prompt is None or context.node_id not in prompt:
        return None
    return linked_outputs(prompt, context.node_id)


def _is_link(value: Any) -> bool:
    # ComfyUI's own test (comfy_execution.graph_utils.is_link), with bool kept out of the numbers.
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
        and not isinstance(value[1], bool)
    )
