"""The example workflows. `python3 -m tests.host python -m tests.examples.build` writes them to example_workflows/.

The input folder of a new user contains example.png and nothing else, so every image here is that one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .sheet import GOLD, Node, Sheet, Socket

IMAGE = "example.png"
CLIP = "wan27_clip.mp4"
LAST_FRAME_TITLE = "Last frame"
CHECKPOINT = "sd_xl_base_1.0.safetensors"
FREE = "Without a key, all of this runs in the **sandbox**: offline, for free, with a stand-in video of the right size."

LOAD, UPLOAD, SUBMIT, WAIT, DECODE = (300, 330), (280, 110), (400, 600), (340, 560), (300, 280)
JOIN = (310, 340)
SAVE, SEE, VALUE = (320, 340), (320, 300), (280, 110)


def load_image(sheet: Sheet, pos: tuple[int, int], title: str = "First frame") -> Node:
    return sheet.add("LoadImage", pos, LOAD, title=title, image=IMAGE)


def submit(sheet: Sheet, pos: tuple[int, int], prompt: str | Socket, **inputs: Any) -> Node:
    given: dict[str, Any] = {"resolution": "720P", "duration": 5, "seed": 42, **inputs}
    return sheet.add("Wan27ImageToVideo", pos, SUBMIT, prompt=prompt, **given)


def upload(sheet: Sheet, pos: tuple[int, int], image: Socket) -> Node:
    return sheet.add("Wan27UploadImage", pos, UPLOAD, image=image)


def wait(sheet: Sheet, pos: tuple[int, int], task: Node) -> Node:
    return sheet.add("Wan27WaitForVideo", pos, WAIT, task_id=task["task_id"])


def save(sheet: Sheet, pos: tuple[int, int], video: Socket, name: str) -> Node:
    return sheet.add("SaveVideo", pos, SAVE, video=video, filename_prefix=f"video/{name}")


def first_and_last_frame() -> Sheet:
    sheet = Sheet("first_and_last_frame")
    first = load_image(sheet, (40, 40))
    last = load_image(sheet, (40, 430), LAST_FRAME_TITLE)
    first_url = upload(sheet, (370, 40), first["IMAGE"])
    last_url = upload(sheet, (370, 430), last["IMAGE"])
    task = submit(
        sheet,
        (700, 40),
        "The light changes from morning to evening, the camera does not move.",
        image_url=first_url["url"],
        last_frame_url=last_url["url"],
    )
    video = wait(sheet, (1140, 40), task)
    decoded = sheet.add("Wan27DecodeVideo", (1520, 40), DECODE, video=video["video"])
    save(sheet, (1520, 380), video["video"], "wan27_first_and_last")
    sheet.add("PreviewImage", (1870, 40), SEE, title="Last frame of the video", images=decoded["last_frame"])
    sheet.group("Images to URLs", (20, -40), (650, 820))
    sheet.group("Paid once", (680, -40), (440, 700), GOLD)
    sheet.group("Free to repeat", (1120, -40), (380, 700))
    sheet.note(
        (40, -280),
        (1080, 210),
        f"""
## Wan 2.7: from a first frame to a last frame

1. Choose two images, ideally with the same aspect ratio: the video takes that of the first one.
2. **Image to Video** gets the first one as `image_url` and the last one as `last_frame_url`. Audio can drive it
   as well.
3. Link more nodes to **Decode Video** as you like. With only `last_frame` linked it decodes no more than the end
   of the file.

{FREE}
""",
    )
    return sheet


def continue_a_clip() -> Sheet:
    sheet = Sheet("continue_a_clip")
    clip = sheet.add("LoadVideo", (40, 40), LOAD, title="Clip, 2-10 s", file=CLIP)
    url = sheet.add("Wan27UploadVideo", (370, 40), UPLOAD, video=clip["VIDEO"])
    sheet.add("PreviewAny", (370, 220), VALUE, title="Seconds of the clip", source=url["duration"])
    task = submit(
        sheet, (700, 40), "The camera moves on in the same direction.", duration=12, first_clip_url=url["url"]
    )
    video = wait(sheet, (1140, 40), task)
    save(sheet, (1520, 40), video["video"], "wan27_continued")
    sheet.group("Clip to URL", (20, -40), (650, 440))
    sheet.group("Paid once", (680, -40), (440, 700), GOLD)
    sheet.group("Free to repeat", (1120, -40), (380, 700))
    sheet.note(
        (40, -280),
        (1080, 210),
        f"""
## Wan 2.7: continue a clip

1. **Load Video**: an mp4 or mov of 2-10 s. If it is longer, the last 10 s are sent, because the video continues
   from the end.
2. `duration` of **Image to Video** is the length of the **whole** video, including the clip, and all of it is
   billed: 12 with a clip of 4 s makes 8 new seconds, and 2 to 5 s of the clip may be billed on top of the 12.
   It must be longer than the clip.
3. You can add a last frame, but not audio.

{FREE}
""",
    )
    return sheet


SHOTS = (
    "A wide view of the lake, the camera moves forward slowly.",
    "The camera moves on over the water towards the hills.",
    "The camera rises above the hills into the evening sky.",
)


def _shots(sheet: Sheet, frame: Socket, prompts: Sequence[str | Socket], left: int) -> list[Socket]:
    """Add a shot for each prompt, each starting on the last frame of the one before. Return their videos."""
    videos: list[Socket] = []
    for number, prompt in enumerate(prompts):
        x, top = left + number * 1210, 40
        url = upload(sheet, (x, top), frame)
        task = submit(sheet, (x, top + 170), prompt, image_url=url["url"], seed=42 + number)
        video = wait(sheet, (x + 430, top), task)
        videos.append(video["video"])
        sheet.group(f"Shot {number + 1}", (x - 20, -40), (1190, 880), GOLD)
        if number + 1 < len(prompts):
            decoded = sheet.add("Wan27DecodeVideo", (x + 810, top), DECODE, video=video["video"])
            frame = decoded["last_frame"]
            sheet.add("PreviewImage", (x + 810, top + 340), SEE, title=f"Last frame of shot {number + 1}", images=frame)
    return videos


def _film(sheet: Sheet, pos: tuple[int, int], videos: Sequence[Socket], name: str) -> None:
    """Join the shots and save them as one film."""
    sockets = {f"video_{number}": video for number, video in enumerate(videos, 1)}
    film = sheet.add("Wan27JoinVideos", pos, JOIN, seam="drop_repeated", **sockets)
    save(sheet, (pos[0] + 350, pos[1]), film["video"], name)


def three_shots() -> Sheet:
    sheet = Sheet("three_shots")
    frame = load_image(sheet, (40, 40))["IMAGE"]
    videos = _shots(sheet, frame, SHOTS, 370)
    _film(sheet, (3630, 40), videos, "wan27_film")
    sheet.note(
        (40, -280),
        (1080, 210),
        f"""
## Wan 2.7: three shots become a film, each starting on the last frame of the one before

Three paid videos, one after the other. **Decode Video** with only `last_frame` linked decodes no more than the
end of each file. **Join Videos** makes one mp4 of them; `drop_repeated` leaves out the frame that both shots have.

- If you change the prompt or the seed of shot 2, only shots 2 and 3 are paid for again; shot 1 stays.
- To keep the quality up over many shots, put a detailer or an upscaler between `last_frame` and **Upload Image**.
- If the colors jump at a seam, set `match_colors`. With `crossfade_seconds` the shots blend into each other.

{FREE}
""",
    )
    return sheet


STORYBOARD = (
    "A wide view of a lake in the evening, the camera moves forward slowly.",
    "The camera glides low over the water, small waves catch the light.",
    "The camera rises along the hills on the far shore.",
    "Above the hills the sky opens, the last sunlight fades.",
)


def storyboard() -> Sheet:
    sheet = Sheet("storyboard_to_film")
    frame = load_image(sheet, (40, 40))["IMAGE"]
    text = sheet.add(
        "PrimitiveStringMultiline",
        (40, 430),
        (620, 220),
        title="Storyboard: one prompt a line",
        value="\n".join(STORYBOARD),
    )
    lines = [
        sheet.add(
            "RegexExtract",
            (370, 690 + 260 * number),
            (290, 210),
            title=f"Line {number + 1}",
            string=text["STRING"],
            # The text after so many line ends, up to the next one.
            regex_pattern=rf"\A(?:[^\n]*\n){{{number}}}([^\n]+)",
            mode="First Group",
        )["STRING"]
        for number in range(len(STORYBOARD))
    ]
    videos = _shots(sheet, frame, lines, 720)
    _film(sheet, (5190, 40), videos, "wan27_storyboard")
    sheet.group("Storyboard", (20, -40), (660, 1800))
    sheet.note(
        (40, -330),
        (1080, 260),
        f"""
## Wan 2.7: a storyboard and one image become a film

1. Choose the first image, and write one prompt on each line of the storyboard: four lines, four shots.
2. Run once. Each shot starts on the last frame of the one before, and **Join Videos** makes one film of them.
3. If something stops it - a crash, an interrupt, a shot that fails - run it again: finished shots are found and not
   paid for again, and it goes on with the shot that it stopped at.

For more shots, copy a line, a shot, and link its video to the next socket of **Join Videos** (up to eight).

{FREE}
""",
    )
    return sheet


def batch_to_shots() -> Sheet:
    sheet = Sheet("batch_to_parallel_shots")
    images = [load_image(sheet, (40, 40 + 390 * number), f"Image {number + 1}") for number in range(3)]
    two = sheet.add("ImageBatch", (370, 40), (260, 80), image1=images[0]["IMAGE"], image2=images[1]["IMAGE"])
    three = sheet.add("ImageBatch", (370, 200), (260, 80), image1=two["IMAGE"], image2=images[2]["IMAGE"])
    urls = upload(sheet, (370, 360), three["IMAGE"])
    task = submit(sheet, (700, 40), "A slow camera move, the light changes gently.", image_url=urls["url"])
    sheet.add("PreviewAny", (700, 710), (400, 130), title="Estimated cost of each, USD", source=task["estimated_cost"])
    video = wait(sheet, (1140, 40), task)
    save(sheet, (1520, 40), video["video"], "wan27_batch")
    decoded = sheet.add(
        "Wan27DecodeVideo", (1520, 430), DECODE, title="First frames", video=video["video"], max_frames=1
    )
    sheet.add("PreviewImage", (1870, 430), SEE, title="First frame of each video", images=decoded["images"])
    sheet.group("A batch of images", (20, -40), (650, 1200))
    sheet.group("Paid once for each image", (680, -40), (440, 900), GOLD)
    sheet.group("Free to repeat", (1120, -40), (380, 700))
    sheet.note(
        (40, -280),
        (1080, 210),
        f"""
## Wan 2.7: a batch of images becomes one video per image, all made at the same time

1. Choose three different images: the same image three times would be one video, paid for once and returned three
   times.
2. **Image to Video** sends one request for each image, and **Wait for Video** waits for all of them together.
   The budget in the settings is checked for the whole batch before the first request is sent.
3. If one of them fails, the others are still saved. Queue again: only the failed one is paid for again.

{FREE}
""",
    )
    return sheet


def local_model() -> Sheet:
    sheet = Sheet("local_model_to_video")
    model = sheet.add("CheckpointLoaderSimple", (40, 40), (320, 120), ckpt_name=CHECKPOINT)
    wanted = sheet.add(
        "CLIPTextEncode",
        (40, 220),
        (320, 160),
        title="What the image shows",
        clip=model["CLIP"],
        text="a wooden boat on a mountain lake at dawn, mist over the water, photograph",
    )
    unwanted = sheet.add(
        "CLIPTextEncode", (40, 440), (320, 120), title="What to keep out of it", clip=model["CLIP"], text="text, blurry"
    )
    empty = sheet.add("EmptyLatentImage", (40, 620), (320, 120), width=1344, height=768)
    sampled = sheet.add(
        "KSampler",
        (400, 40),
        (290, 300),
        model=model["MODEL"],
        positive=wanted["CONDITIONING"],
        negative=unwanted["CONDITIONING"],
        latent_image=empty["LATENT"],
        seed=7,
        steps=25,
        cfg=6.5,
        sampler_name="dpmpp_2m",
        scheduler="karras",
    )
    image = sheet.add("VAEDecode", (400, 400), (290, 60), samples=sampled["LATENT"], vae=model["VAE"])
    sheet.add("PreviewImage", (400, 520), (290, 300), title="First frame", images=image["IMAGE"])
    url = upload(sheet, (740, 40), image["IMAGE"])
    task = submit(
        sheet, (740, 210), "The boat drifts slowly, mist moves over the water, the sun comes up.", image_url=url["url"]
    )
    video = wait(sheet, (1180, 40), task)
    save(sheet, (1560, 40), video["video"], "wan27_local_model")
    sheet.group("Your own model, your own GPU", (20, -40), (690, 880))
    sheet.group("Paid once", (720, -40), (440, 880), GOLD)
    sheet.group("Free to repeat", (1160, -40), (380, 880))
    sheet.note(
        (40, -280),
        (1080, 210),
        f"""
## Wan 2.7: an image from a local model becomes a video

1. Choose a checkpoint that you have; any graph that ends in an IMAGE will do.
2. Look at the image first: select **Image to Video** and everything after it, and mute them (Ctrl+M) until you
   like what you see. The video is the part that costs money.
3. With the seed of **KSampler** on *fixed* the image stays the same, so you pay for the video once, however often
   you queue.

{FREE}
""",
    )
    return sheet


def resume() -> Sheet:
    sheet = Sheet("resume_a_task")
    video = sheet.add("Wan27WaitForVideo", (40, 40), WAIT, title="Paste the task id here", task_id="")
    save(sheet, (420, 40), video["video"], "wan27_resumed")
    sheet.add("PreviewAny", (420, 430), (320, 300), title="Information about the task", source=video["info"])
    decoded = sheet.add("Wan27DecodeVideo", (780, 40), DECODE, video=video["video"])
    sheet.add("PreviewImage", (1120, 40), SEE, title="Last frame", images=decoded["last_frame"])
    sheet.add("PreviewAudio", (1120, 400), (320, 110), title="Audio", audio=decoded["audio"])
    sheet.group("Free", (20, -40), (1440, 800))
    sheet.note(
        (40, -280),
        (1080, 210),
        """
## Wan 2.7: collect a video by its task id, for free

Paste the id of a task of your account into **Wait for Video**, and run. You find the id on Image to Video, in the
log, in the panel and in the vendor's task list. The service keeps a task for about a day. A downloaded video stays
on your disk, and its id keeps working as long as the file is there.

You rarely need this: queueing the original graph again collects the video as well.
""",
    )
    return sheet


def frames_and_back() -> Sheet:
    sheet = Sheet("frames_through_a_node_and_back")
    image = load_image(sheet, (40, 40))
    url = upload(sheet, (40, 430), image["IMAGE"])
    task = submit(sheet, (380, 40), "Ripples on the water, thin clouds drift.", image_url=url["url"])
    video = wait(sheet, (820, 40), task)
    decoded = sheet.add("Wan27DecodeVideo", (1200, 40), DECODE, video=video["video"], max_frames=0)
    sharper = sheet.add(
        "ImageSharpen", (1540, 40), (280, 130), title="Any node that takes images", image=decoded["images"], alpha=0.4
    )
    again = sheet.add(
        "CreateVideo",
        (1540, 230),
        (280, 110),
        images=sharper["IMAGE"],
        audio=decoded["audio"],
        fps=decoded["fps"],
    )
    save(sheet, (1860, 40), again["VIDEO"], "wan27_sharpened")
    sheet.group("Paid once", (360, -40), (440, 700), GOLD)
    sheet.group("Frame by frame, on your machine", (1180, -40), (660, 420))
    sheet.note(
        (40, -280),
        (1080, 210),
        f"""
## Wan 2.7: frames through any image node, and back into a video with its audio

Link all three from **Decode Video** to **Create Video**: `images` through your nodes, `audio` and `fps` directly.
The frame rate is not the same for every video, so link `fps` instead of typing it.

All frames are in memory at once: 5 s at 720P and 30 fps take about 1.7 GB. `max_side`, `every_nth`, `start_time`
and `duration` of Decode Video reduce that. If you do not change any frames, link `video` to Save Video: nothing is
encoded again.

{FREE}
""",
    )
    return sheet


EXAMPLES: tuple[Callable[[], Sheet], ...] = (
    first_and_last_frame,
    continue_a_clip,
    three_shots,
    storyboard,
    batch_to_shots,
    local_model,
    resume,
    frames_and_back,
)


def sheets() -> dict[str, Sheet]:
    return {sheet.name: sheet for sheet in (make() for make in EXAMPLES)}
