"""python3 -m tests.host [--browser] COMMAND…: set up what is missing, then run COMMAND in it.

Everything is in ${XDG_CACHE_HOME:-~/.cache}/wan27-video. COMFYUI_DIR (and COMFYUI_PYTHON) name a ComfyUI of your own
to use instead; nothing is installed into it. COMFYUI_ARGUMENTS="--multi-user …" gives the tests' ComfyUI more options.
"""

from __future__ import annotations

import os
import sys


def main() -> int:  # noqa: RET503  (it ends by becoming the command)
    if sys.version_info < (3, 10):  # noqa: UP036  (the error has to reach users of an older one)
        print("[host] Python 3.10 or newer is needed: make PYTHON=python3.11 …", file=sys.stderr)
        return 2
    from .cache import SetupError
    from .provision import provide

    words = sys.argv[1:]
    browser = words[:1] == ["--browser"]
    command = words[1:] if browser else words
    try:
        host = provide(browser=browser)
    except SetupError as error:
        print(f"[host] {error}", file=sys.stderr)
        return 1
    if not command:
        print(f"ComfyUI   {host.tree}\nvenv      {host.overlay}\nfrontend  {host.newest_frontend}")
        print(f"browser   {host.browser or 'not asked for'}")
        return 0
    env = host.environ()
    os.environ["PATH"] = env["PATH"]  # execvpe looks the command up in ours
    os.execvpe(command[0], command, env)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("[host] interrupted; what was not finished will be built again", file=sys.stderr)
        sys.exit(130)
