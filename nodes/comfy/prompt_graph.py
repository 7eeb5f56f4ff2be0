"""The graph around a node: which of its outputs are linked, and which nodes run for certain.

A prompt is ComfyUI's API format: {id: {"class_type": ..., "inputs": {name: value or [id, output index]}}}.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .runtime import executing, prompt_server


def linked_outputs(prompt: Mapping[str, Any], node_id: str) -> set[int]:
    """Return the indices of the outputs of `node_id` that an input in `prompt` is linked to."""
    return {
        int(value[1])
        for node in prompt.values()
        for value in _inputs_of(node).values()
        if _is_link(value) and str(value[0]) == node_id
    }


def certain_to_run(prompt: Mapping[str, Any], targets: Any, classes: Mapping[str, Any]) -> set[str]:
    """Return the ids of the nodes that run for certain when `prompt` is queued: those that an output node needs.

    A node that only a lazy input leads to is left out, because a switch may not request it.

    Args:
        targets: `partial_execution_targets` as posted: the ids of the output nodes to run; None for all.
        classes: ComfyUI's node classes by name; nothing is known about a missing class.
    """
    wanted = None if targets is None else {str(target) for target in targets} if isinstance(targets, list) else set()
    found: set[str] = set()
    pending = [
        node_id
        for node_id, node in prompt.items()
        if getattr(_class_of(node, classes), "OUTPUT_NODE", False) is True and (wanted is None or node_id in wanted)
    ]
    while pending:
        node_id = pending.pop()
        node = prompt.get(node_id)
        if node_id in found or not isinstance(node, Mapping):
            continue
        found.add(node_id)
        lazy = _lazy_inputs(_class_of(node, classes))
        pending += [value[0] for name, value in _inputs_of(node).items() if _is_link(value) and name not in lazy]
    return found


def node_classes() -> Mapping[str, Any]:
    """Return ComfyUI's node classes by name; empty outside ComfyUI."""
    # ComfyUI's module has the same name as this pack's folder, so an import could find the wrong one.
    found = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", None)
    return found if isinstance(found, Mapping) else {}


def running_prompt(prompt_id: str) -> Mapping[str, Any] | None:
    """Return the prompt with this id as it was queued, or None if it is not running."""
    return _mapping_in(_running_item(prompt_id), 2)


def running_workflow(prompt_id: str) -> Mapping[str, Any] | None:
    """Return the workflow of a running prompt, which the frontend sends with it for the metadata of saved files.

    None if there is none: another client has queued the prompt, or ComfyUI runs with --disable-metadata.
    """
    try:
        from comfy.cli_args import args
    except ImportError:
        return None
    if getattr(args, "disable_metadata", False):
        return None
    extra = _mapping_in(_running_item(prompt_id), 3) or {}
    return _mapping_in(extra.get("extra_pnginfo"), "workflow")


def _running_item(prompt_id: str) -> Any:
    """Return ComfyUI's queue item: (number, prompt_id, prompt, extra_data, outputs to execute, ...)."""
    running = getattr(getattr(prompt_server(), "prompt_queue", None), "currently_running", None)
    if not isinstance(running, Mapping):
        return None
    items = (item for item in list(running.values()) if isinstance(item, (tuple, list)) and len(item) > 3)
    return next((item for item in items if item[1] == prompt_id), None)


def _mapping_in(container: Any, key: Any) -> Mapping[str, Any] | None:
    try:
        found = container[key]
    except (KeyError, TypeError):
        return None
    return found if isinstance(found, Mapping) else None


def outputs_in_use() -> set[int] | None:
    """Return the linked outputs of the node being fingerprinted or executed, or None if they cannot be known.

    They cannot be known for a node that the expansion of another node created, and without ComfyUI's queue.
    `fingerprint_inputs` and `execute` must both use this function: if they disagreed, the output cache would return
    a result that lacks an output linked later.
    """
    prompt_id, node_id = executing()
    prompt = running_prompt(prompt_id)
    return None if prompt is None or node_id not in prompt else linked_outputs(prompt, node_id)


def _inputs_of(node: Any) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _class_of(node: Any, classes: Mapping[str, Any]) -> Any:
    kind = node.get("class_type") if isinstance(node, Mapping) else None
    return classes.get(kind) if isinstance(kind, str) else None


def _lazy_inputs(class_: Any) -> set[str]:
    """Return the names of the inputs that a node may never request."""
    types = class_.INPUT_TYPES() if class_ is not None else {}
    return {
        name
        for kind in ("required", "optional")
        for name, declared in types.get(kind, {}).items()
        if len(declared) > 1 and isinstance(declared[1], Mapping) and declared[1].get("lazy")
    }


def _is_link(value: Any) -> bool:
    # ComfyUI's own test (comfy_execution.graph_utils.is_link), except that a bool is not a number here.
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], (int, float))
        and not isinstance(value[1], bool)
    )
