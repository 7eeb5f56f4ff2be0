"""What the graph around a node looks like: which of its outputs somebody uses, and whether it runs at all."""

from __future__ import annotations

import sys
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


def surely_run(prompt: Mapping[str, Any], targets: Any, classes: Mapping[str, Any]) -> set[str]:
    """The ids of the nodes that run when `prompt` is queued: those that an output node needs, whatever happens.

    What only a lazy input leads to is left out, for a switch may not ask for it.

    Args:
        prompt: the API format.
        targets: `partial_execution_targets` of what was posted: the ids of the output nodes to run; None for all.
        classes: ComfyUI's node classes by name; of a class that is missing nothing is known.
    """
    wanted = None if targets is None else {str(target) for target in targets} if isinstance(targets, list) else set()
    found: set[str] = set()
    to_do = [
        node_id
        for node_id, node in prompt.items()
        if getattr(_class_of(node, classes), "OUTPUT_NODE", False) is True and (wanted is None or node_id in wanted)
    ]
    while to_do:
        node_id = to_do.pop()
        node = prompt.get(node_id)
        if node_id in found or not isinstance(node, Mapping):
            continue
        found.add(node_id)
        inputs = node.get("inputs")
        if isinstance(inputs, Mapping):
            lazy = _lazy_inputs(_class_of(node, classes))
            to_do += [value[0] for name, value in inputs.items() if _is_link(value) and name not in lazy]
    return found


def _class_of(node: Any, classes: Mapping[str, Any]) -> Any:
    kind = node.get("class_type") if isinstance(node, Mapping) else None
    return classes.get(kind) if isinstance(kind, str) else None


def _lazy_inputs(class_: Any) -> set[str]:
    """The names of a node's inputs that may never be asked for."""
    types = class_.INPUT_TYPES() if class_ is not None else {}
    return {
        name
        for kind in ("required", "optional")
        for name, declared in types.get(kind, {}).items()
        if len(declared) > 1 and isinstance(declared[1], Mapping) and declared[1].get("lazy")
    }


def node_classes() -> Mapping[str, Any]:
    """ComfyUI's node classes by name; empty outside of it."""
    # Its module is called like this pack's folder, so that an import could find the wrong one.
    found = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", None)
    return found if isinstance(found, Mapping) else {}


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
