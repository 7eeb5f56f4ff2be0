"""`python nodes/sandbox` or `python -m nodes.sandbox`: run a sandbox, print its base URL on one line, and stop at an
interrupt."""

from __future__ import annotations

if not __package__:  # run by its path, as the Python of ComfyUI's portable build requires: see nodes/check.py
    import sys
    from pathlib import Path

    here = Path(__file__).absolute().parent
    # This folder has an inspect.py, which must not replace that of the standard library.
    sys.path[:] = [str(here.parents[1]), *(path for path in sys.path if Path(path).resolve() != here.resolve())]
    import runpy

    runpy.run_module("nodes.sandbox", run_name="__main__", alter_sys=True)

import argparse
import logging
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

from ..core.temporary import remove_leftovers, temporary_folder
from .options import SandboxOptions
from .server import Sandbox


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; return the exit code."""
    default = SandboxOptions()
    parser = argparse.ArgumentParser(prog="python nodes/sandbox", description="Offline stand-in for the service.")
    parser.add_argument("--state-dir", type=Path, help="directory for tasks and files (default: a temporary one)")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    for name, help_text in (
        ("task-seconds", "shortest time of a task"),
        ("queue-seconds", "time in the queue before that"),
        ("fps", "frame rate of the videos, 1-60"),
        ("result-ttl-seconds", "lifetime of the URL of a result"),
        ("requests-per-minute", "polls of one key, 429 beyond"),
        ("upload-expires", "lifetime of the URL of an upload, in seconds"),
    ):
        value = getattr(default, name.replace("-", "_"))
        kind = float if isinstance(value, float) else int
        parser.add_argument(f"--{name}", type=kind, default=value, help=f"{help_text} (default: {value})")
    chosen = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.WARNING)
    state_dir, host, port = chosen.pop("state_dir"), chosen.pop("host"), chosen.pop("port")
    try:
        options = SandboxOptions(**chosen)
    except ValueError as error:
        parser.error(str(error))
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    remove_leftovers()
    with temporary_folder() as temporary:
        sandbox = Sandbox(state_dir or temporary, host=host, port=port, options=options)
        print(sandbox.start(), flush=True)
        # with a timeout, because Windows does not interrupt a wait without one
        while not ended.wait(0.5):
            pass
        sandbox.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
