"""python3 -m tests.host python -m tests.house.trace [CHECKOUT]: the modules that one image passes through.

Runs Upload Image, Image to Video, Wait for Video and Decode Video in a real ComfyUI against a sandbox outside of it,
and lists the modules of nodes/ of which a function is called between the first node and the decoded tensor.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.comfyui.graphs import SMALL, decode, kept, pair, upload_image
from tests.host.comfy import PACK, REPO, ComfyUI, Graph
from tests.host.fixtures import HELPERS, connected
from tests.media_files import photo, png
from tests.service import Service

from .imports import House

TRACE_PACK = Path(__file__).with_name("trace_pack")


def main(checkout: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "sandbox") as service:
        base, called = Path(folder) / "comfyui", Path(folder) / "called"
        trace = {"WAN27_TRACE_NODES": str(base / "custom_nodes" / PACK / "nodes"), "WAN27_TRACE_FILE": str(called)}
        env = {**connected(service), **trace}
        with ComfyUI(base, pack=checkout, env=env, custom_nodes=[HELPERS, TRACE_PACK]) as comfy:
            run_one_image(comfy)
        names = sorted(set(called.read_text().split()))
    print(*names, f"{len(names)} of {len(House(checkout).modules)} modules", sep="\n")


def run_one_image(comfy: ComfyUI) -> None:
    graph = Graph()
    image = upload_image(graph, comfy.upload("one.png", png(photo(320, 320))))
    made = pair(graph, image_url=(image, 0), seed=1, **SMALL)
    decoded = decode(graph, (made.wait, 0))
    assert kept(comfy.run(graph), decoded.first)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else REPO)
