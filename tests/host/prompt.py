"""A prompt: building it, queueing it, watching it, and its results."""

from __future__ import annotations

import json
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import websocket

if TYPE_CHECKING:
    from .comfy import ComfyUI

RUN_SECONDS = 240

Prompt = dict[str, dict[str, Any]]
Link = list[Any]

_TEXT_EVENT = 3  # protocol.BinaryEventTypes.TEXT


class ComfyUIError(Exception):
    """ComfyUI does not behave as every ComfyUI does; the text contains the end of its log."""


class RejectedError(Exception):
    """/prompt refused the graph: `error` is about the whole graph, `node_errors` about each node."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.error: dict[str, Any] = body.get("error") or {}
        self.node_errors: dict[str, dict[str, Any]] = body.get("node_errors") or {}
        super().__init__(json.dumps(body, ensure_ascii=False)[:2000])

    def texts(self, node: str) -> str:
        """Return what the frontend shows on one node."""
        errors = self.node_errors.get(node, {}).get("errors", [])
        return "\n".join(f"{error['message']}: {error['details']}" for error in errors)


class Graph:
    """A prompt in the API format, built node by node; `(node, 0)` links to the first output of a node."""

    def __init__(self) -> None:
        self.prompt: Prompt = {}

    def add(self, class_type: str, **inputs: Any) -> str:
        node = str(len(self.prompt) + 1)
        linked = {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.items()}
        self.prompt[node] = {"class_type": class_type, "inputs": linked}
        return node


@dataclass(frozen=True)
class NodeError:
    """What the frontend shows when a node fails."""

    node: str
    node_type: str
    exception_type: str
    message: str
    inputs: dict[str, Any]
    traceback: str


@dataclass
class Run:
    """One queued prompt, and everything the server said about it."""

    comfy: ComfyUI
    prompt: Prompt
    extra_data: dict[str, Any]
    prompt_id: str = ""
    texts: list[tuple[str, str]] = field(default_factory=list)  # (node, progress text)
    progress: list[tuple[str, float, float]] = field(default_factory=list)  # (node, value, max)
    messages: list[dict[str, Any]] = field(default_factory=list)
    error: NodeError | None = None
    interrupted: bool = False
    finished: bool = False
    seconds: float = 0.0

    def __post_init__(self) -> None:
        client = uuid.uuid4().hex
        # Connected before the prompt is queued, so that no message can be missed.
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{self.comfy.port}/ws?clientId={client}", timeout=30, http_no_proxy=["127.0.0.1"]
        )
        self._started = time.monotonic()
        body = {"prompt": self.prompt, "client_id": client, "extra_data": self.extra_data}
        answer = self.comfy.request("POST", "/prompt", json=body)
        if answer.status_code != 200:
            self._socket.close()
            raise RejectedError(answer.json())
        self.prompt_id = answer.json()["prompt_id"]

    def wait(self, seconds: float = RUN_SECONDS) -> Run:
        return self.wait_for(lambda run: run.finished, seconds)

    def wait_for(self, condition: Callable[[Run], bool], seconds: float = RUN_SECONDS) -> Run:
        """Read messages until `condition` holds.

        Raises:
            ComfyUIError: the prompt ended, or the time passed, before that.
        """
        deadline = time.monotonic() + seconds
        while not condition(self):
            if self.finished:
                raise ComfyUIError(f"The prompt ended ({self.error}) before the condition held; texts: {self.texts}")
            self._read(deadline)
        return self

    def close(self) -> None:
        """Stop listening, as a page that is reloaded or closed."""
        self._socket.close()

    def _read(self, deadline: float) -> None:
        self._socket.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            message = self._socket.recv()
        except websocket.WebSocketTimeoutException:
            raise ComfyUIError(f"The prompt took too long; texts: {self.texts}\n{self._log_tail()}") from None
        except (websocket.WebSocketException, OSError) as error:
            raise ComfyUIError(f"The connection to ComfyUI broke ({error}).\n{self._log_tail()}") from None
        if isinstance(message, bytes):
            self._binary(message)
        elif message:
            self._event(json.loads(message))

    def _log_tail(self) -> str:
        return self.comfy.log[-3000:]

    def _binary(self, message: bytes) -> None:
        (event,) = struct.unpack(">I", message[:4])
        if event == _TEXT_EVENT:
            (length,) = struct.unpack(">I", message[4:8])
            self.texts.append((message[8 : 8 + length].decode(), message[8 + length :].decode()))

    def _event(self, message: dict[str, Any]) -> None:
        kind, data = message["type"], message["data"]
        if data.get("prompt_id") not in {None, self.prompt_id}:
            return
        self.messages.append(message)
        if kind == "progress_state":
            self.progress += [(node, state["value"], state["max"]) for node, state in data["nodes"].items()]
        elif kind == "execution_error":
            self.error = NodeError(
                str(data["node_id"]),
                data["node_type"],
                data["exception_type"],
                data["exception_message"],
                data.get("current_inputs") or {},
                "".join(data.get("traceback") or ()),
            )
        elif kind == "execution_interrupted":
            self.interrupted = True
        # Sent after success, error and interrupt alike, once the history entry exists.
        elif kind == "executing" and data.get("node") is None and data.get("prompt_id") == self.prompt_id:
            self.finished = True
            self.seconds = time.monotonic() - self._started
            self._socket.close()

    @property
    def history(self) -> dict[str, Any]:
        entry: dict[str, Any] = self.comfy.get_json(f"/history/{self.prompt_id}")[self.prompt_id]
        return entry

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """What each node left for the frontend, by node.

        Raises:
            ComfyUIError: the run did not succeed.
        """
        if self.error:
            raise ComfyUIError(
                f"Node {self.error.node} ({self.error.node_type}): {self.error.message}\n{self.error.traceback}"
            )
        entry = self.history
        if entry["status"]["status_str"] != "success":
            raise ComfyUIError(f"The prompt did not succeed: {entry['status']}")
        outputs: dict[str, dict[str, Any]] = entry["outputs"]
        return outputs

    def files(self, node: str, key: str = "images") -> list[Path]:
        """Return the paths of the files that a node saved."""
        saved = self.outputs[node][key]
        return [self.comfy.base / item["type"] / item["subfolder"] / item["filename"] for item in saved]

    def texts_of(self, node: str) -> list[str]:
        return [text for owner, text in self.texts if owner == node]
