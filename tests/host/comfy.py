"""A real ComfyUI as a subprocess, and what its clients do: upload, queue, watch, interrupt.

Waiting means asking again until a condition holds, with a deadline; nothing waits for a fixed time.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from nodes.core.hosts import HOSTS

from .prompt import RUN_SECONDS, ComfyUIError, Graph, NodeError, Prompt, RejectedError, Run

__all__ = [
    "PACK",
    "REPO",
    "ComfyUI",
    "ComfyUIError",
    "Graph",
    "NodeError",
    "Prompt",
    "RejectedError",
    "Run",
    "free_port",
]

REPO = Path(__file__).resolve().parents[2]
PACK = "wan27-video"  # the folder the pack has in custom_nodes
START_SECONDS = 240
"""Enough for a cold disk and a busy machine; 12 s is usual."""

FIRST_PORT = 20_000

_NOT_INHERITED = re.compile(rf"WAN27_|COMFYUI_|HF_|(?:{'|'.join(host.key_variable for host in HOSTS.values())})$")
"""Environment variables that reach a ComfyUI under test only if the test sets them."""
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "PYTHONUNBUFFERED": "1",
}


def free_port() -> int:
    """Return a port that nothing listens on.

    It lies below the range that systems use for outgoing connections, and each of pytest-xdist's workers has its own
    range, so that nothing takes the port before it is used.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST_PORT + 1000 * (worker % 12)
    for port in random.sample(range(first, first + 1000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ComfyUIError(f"No port between {first} and {first + 999} is free.")


def comfyui_tree() -> Path:
    named = os.environ.get("COMFYUI_TREE")
    if not named:
        raise ComfyUIError(
            "COMFYUI_TREE is not set. `make test` sets it; for some tests alone: "
            "python3 -m tests.host --browser python -m pytest tests/…"
        )
    return Path(named)


class ComfyUI:
    """A base directory and the server that uses it, which can be killed and started again.

    The environment variable COMFYUI_ARGUMENTS adds options to each one that is started without `arguments`, such as
    --multi-user, to run the tests with them.
    """

    def __init__(
        self,
        base: Path,
        *,
        env: Mapping[str, str] | None = None,
        frontend: Path | None = None,
        pack: Path = REPO,
        custom_nodes: Sequence[Path] = (),
        port: int | None = None,
        arguments: Sequence[str] = (),
        on_screen: bool = False,
    ) -> None:
        self.base = base
        self.env = dict(env or {})
        self.frontend = frontend
        self.wanted_port = port
        self.arguments = tuple(arguments or os.environ.get("COMFYUI_ARGUMENTS", "").split())
        self.on_screen = on_screen  # the log goes to the terminal, and cannot be read
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = base / "comfyui.log"
        self.warnings_at_start: list[dict[str, Any]] = []  # kept by tests/comfyui/helper_nodes
        self._log: BinaryIO | None = None
        self._lay_out([(PACK, pack), *((path.name, path) for path in custom_nodes)])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> Path:
        return self.base / "output"

    @property
    def log(self) -> str:
        """What ComfyUI has printed so far, without the colors of newer cores."""
        return _COLOR.sub("", self.log_path.read_text(errors="replace")) if self.log_path.exists() else ""

    def _lay_out(self, packs: list[tuple[str, Path]]) -> None:
        for name in ("custom_nodes", "input", "output", "user", "temp", "models", "tmp"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        for name, target in packs:
            link = self.base / "custom_nodes" / name
            if not (link.is_symlink() or link.exists()):
                link.symlink_to(target, target_is_directory=True)

    # --- process ------------------------------------------------------------------------------------------------

    def start(self) -> ComfyUI:
        """Return when ComfyUI answers.

        Raises:
            ComfyUIError: it exited before that, or never answers.
        """
        for attempt in range(3):
            self.port = self.wanted_port or free_port()
            self._spawn()
            if self._answers():
                self.warnings_at_start = self._warnings()
                return self
            # Another program may have taken the port before ComfyUI did.
            if self.wanted_port or attempt == 2 or "address already in use" not in self.log[-4000:]:
                break
        raise ComfyUIError(f"ComfyUI did not start.\n{self.log[-4000:]}")

    def _spawn(self) -> None:
        env = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.match(name)}
        env |= _OFFLINE | {"TMPDIR": str(self.base / "tmp")} | self.env
        command = [sys.executable, str(comfyui_tree() / "main.py"), "--cpu", "--listen", "127.0.0.1"]
        command += ["--port", str(self.port), "--base-directory", str(self.base), "--disable-auto-launch"]
        command += ["--database-url", f"sqlite:///{self.base / 'user' / 'comfyui.db'}", "--disable-api-nodes"]
        if self.frontend:
            command += ["--front-end-root", str(self.frontend)]
        _accept_sigint()
        self._log = self.log_path.open("ab")
        self.process = self._launch([*command, *self.arguments], env)

    def _launch(self, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.base,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=None if self.on_screen else self._log,
            stderr=None if self.on_screen else subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches the tests only, which then stop ComfyUI
        )

    def _answers(self) -> bool:
        assert self.process
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            try:
                if httpx.get(f"{self.url}/system_stats", timeout=5, trust_env=False).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        self.kill()
        return False

    def _warnings(self) -> list[dict[str, Any]]:
        kept = self.base / "warnings.jsonl"
        return [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []

    def stop(self) -> int:
        """Stop ComfyUI as Ctrl-C does.

        Returns:
            The exit code; negative for the signal that had to be used.
        """
        if not self.process:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self._ended()

    def kill(self) -> None:
        """Kill ComfyUI with SIGKILL, so that nothing can be tidied up."""
        if self.process:
            self.process.kill()
            self._ended()

    def _ended(self) -> int:
        assert self.process
        code = self.process.wait()
        self.process = None
        if self._log:
            self._log.close()
        return code

    def restart(self) -> ComfyUI:
        """Stop ComfyUI and start it on the same base directory."""
        self.stop()
        return self.start()

    def __enter__(self) -> ComfyUI:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- client -------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", timeout=30, trust_env=False, **arguments)

    def get_json(self, path: str) -> Any:
        return self.request("GET", path).raise_for_status().json()

    def upload(self, name: str, data: bytes) -> str:
        """Put a file into ComfyUI's input folder as the frontend does, and return its name there."""
        files = {"image": (name, data)}
        answer = self.request("POST", "/upload/image", files=files, data={"overwrite": "true"})
        stored: str = answer.raise_for_status().json()["name"]
        return stored

    def queue(self, prompt: Prompt | Graph, *, extra_data: dict[str, Any] | None = None) -> Run:
        """Queue a prompt.

        Raises:
            RejectedError: /prompt refused it.
        """
        return Run(self, prompt.prompt if isinstance(prompt, Graph) else prompt, extra_data or {})

    def run(self, prompt: Prompt | Graph, *, seconds: float = RUN_SECONDS) -> Run:
        """Queue a prompt and wait until it has succeeded or failed."""
        return self.queue(prompt).wait(seconds)

    def interrupt(self) -> None:
        self.request("POST", "/interrupt").raise_for_status()


def _accept_sigint() -> None:
    """Undo that a shell starts background jobs with SIGINT ignored: ComfyUI would inherit that and never stop on it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
