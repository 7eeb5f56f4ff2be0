"""make demo: run the example workflow in a real ComfyUI, in the sandbox, and check the result.

Exit code 0: a playable mp4 that starts with the input image and has as many frames as requested. 1: anything else.
The results are kept in a folder under the system's temporary directory, whose name is printed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.comfyui import example
from tests.host.comfy import ComfyUI, ComfyUIError, RejectedError, Run
from tests.media_reading import psnr, scaled

LEAST_PSNR = 30.0


@dataclass(frozen=True)
class Played:
    """What an mp4 has, played from start to end."""

    width: int
    height: int
    fps: float
    frames: int
    audio_seconds: float
    loudness: float  # root mean square of the samples, 0..1


def main() -> int:
    started = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="wan27-demo-"))
    print(f"Starting ComfyUI, its files in {base} …", flush=True)
    try:
        with ComfyUI(base) as comfy:
            problems = run_in(comfy)
    except (ComfyUIError, RejectedError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print(f"{'time':<16}{time.monotonic() - started:.0f} s, ComfyUI's start included")
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if problems else 0


def run_in(comfy: ComfyUI) -> list[str]:
    """Run the example in a ComfyUI that uses the sandbox, print the results, and return what is wrong with them."""
    example.upload_inputs(comfy)
    print("Running example_workflows/first_frame_with_audio.json in the sandbox …", flush=True)
    return report(comfy.run(example.prompt(), seconds=600))


def report(run: Run) -> list[str]:
    """Print the results of a run, and return what is wrong with them."""
    asked = run.prompt[example.node_of("Wan27ImageToVideo")]["inputs"]
    (mp4,) = run.files(example.node_of("SaveVideo"))
    (first,) = run.files(example.node_of("PreviewImage", images=(example.node_of("ImageFromBatch"), 0)))
    (count,) = run.outputs[example.node_of("PreviewAny")]["text"]
    played = play(mp4)
    with Image.open(first) as image:
        frame = np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)
    likeness = psnr(frame, scaled(example.source_image(), frame))
    wanted = round(asked["duration"] * played.fps)

    print(f"{'mp4':<16}{mp4}")
    print(f"{'size':<16}{played.width} x {played.height} ({asked['resolution']} requested)")
    print(f"{'frames':<16}{count} decoded by the graph, {asked['duration']} s at {played.fps:g} fps are {wanted}")
    print(f"{'audio':<16}{played.audio_seconds:.2f} s")
    print(f"{'first frame':<16}{likeness:.1f} dB PSNR against the input image ({LEAST_PSNR:g} needed)")
    print(f"{'queue':<16}{run.seconds:.1f} s from queueing to the last node")

    checks = {
        f"the mp4 has {played.frames} frames, {wanted} were requested": played.frames == wanted,
        f"the graph got {count} frames, {wanted} were requested": int(count) == wanted,
        f"the first frame is {likeness:.1f} dB from the input image": likeness >= LEAST_PSNR,
        f"the audio is {played.audio_seconds:.2f} s long": abs(played.audio_seconds - asked["duration"]) < 0.1,
        "the mp4 is silent": played.loudness > 0.01,
        f"the frame is {frame.shape[1]} x {frame.shape[0]}": frame.shape[:2] == (played.height, played.width),
    }
    return [problem for problem, fine in checks.items() if not fine]


def play(path: Path) -> Played:
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        fps = float(video.average_rate or 0)
        frames, squares, samples = 0, 0.0, 0
        for frame in container.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                frames += 1
            else:
                data = frame.to_ndarray()
                squares += float((data.astype(np.float64) ** 2).mean()) * frame.samples
                samples += frame.samples
        seconds = float((audio.duration or 0) * (audio.time_base or 0))
        return Played(video.width, video.height, fps, frames, seconds, (squares / max(1, samples)) ** 0.5)


if __name__ == "__main__":
    sys.exit(main())
