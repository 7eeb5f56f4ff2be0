"""With no key set, the example runs as it is, offline, and says where it ran."""

from __future__ import annotations

from tests.comfyui import example
from tests.demo import report
from tests.host.fixtures import ComfyFactory


def test_the_example_runs_without_a_key(start_comfy: ComfyFactory) -> None:
    comfy = start_comfy(env={})
    example.upload_inputs(comfy)

    run = comfy.run(example.prompt())

    assert report(run) == []
    for node in (example.node_of("Wan27ImageToVideo"), example.node_of("Wan27WaitForVideo")):
        assert any("sandbox" in text.lower() for text in run.texts_of(node)), run.texts_of(node)
    assert "sandbox" in comfy.log.lower()
    assert comfy.stop() == 0, "ComfyUI ends in order"
