"""Thumbnails for the template browser, made from the images of the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from tests.media_files import photo

SIZE = (480, 360)
GROUND, INK = (24, 26, 30), (236, 238, 242)


def _shot(seed: int, size: tuple[int, int], *, hue: int = 0, light: float = 1.0) -> Image.Image:
    """Return a landscape. hue: 0-255, shifts its colours to tell the thumbnails apart. Odd seeds are mirrored."""
    image = ImageEnhance.Brightness(photo(*size, seed=seed)).enhance(light)
    if seed % 2:
        image = ImageOps.mirror(image)
    tone, saturation, value = image.convert("HSV").split()
    turned = tone.point([(level + hue) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _arrow(draw: ImageDraw.ImageDraw, left: int, y: int, length: int = 36) -> None:
    draw.line((left, y, left + length - 10, y), fill=INK, width=6)
    draw.polygon(((left + length, y), (left + length - 16, y - 12), (left + length - 16, y + 12)), fill=INK)


def _play(image: Image.Image) -> Image.Image:
    draw, (x, y) = ImageDraw.Draw(image), (image.width // 2, image.height // 2)
    draw.ellipse((x - 24, y - 24, x + 24, y + 24), fill=(0, 0, 0), outline=INK, width=3)
    draw.polygon(((x - 8, y - 13), (x - 8, y + 13), (x + 14, y)), fill=INK)
    return image


def _row(*images: Image.Image) -> Image.Image:
    """Return images from left to right, with an arrow from each to the next."""
    canvas = Image.new("RGB", SIZE, GROUND)
    draw, gap = ImageDraw.Draw(canvas), 52
    left = (SIZE[0] - sum(image.width for image in images) - gap * (len(images) - 1)) // 2
    for number, image in enumerate(images):
        canvas.paste(image, (left, (SIZE[1] - image.height) // 2))
        left += image.width
        if number + 1 < len(images):
            _arrow(draw, left + 8, SIZE[1] // 2)
        left += gap
    return canvas


def _column(images: list[Image.Image]) -> Image.Image:
    gap = 12
    whole = Image.new("RGB", (images[0].width, sum(i.height + gap for i in images) - gap), GROUND)
    for number, image in enumerate(images):
        whole.paste(image, (0, number * (image.height + gap)))
    return whole


def first_and_last_frame() -> Image.Image:
    return _row(_shot(8, (204, 204)), _shot(8, (204, 204), light=0.45))


def continue_a_clip() -> Image.Image:
    return _row(_play(_shot(11, (150, 200), hue=100)), _play(_shot(11, (260, 200), hue=100)))


def three_shots() -> Image.Image:
    return _row(*(_shot(7 + number, (112, 200), hue=170 + 35 * number) for number in range(3)))


def storyboard_to_film() -> Image.Image:
    shots = _column([_shot(22 + number, (112, 62), hue=20 + 35 * number) for number in range(4)])
    return _row(shots, _play(_shot(25, (260, 200), hue=125)))


def batch_to_parallel_shots() -> Image.Image:
    sources = ((3, 0), (6, 90), (9, 200))
    before = [_shot(seed, (140, 96), hue=hue) for seed, hue in sources]
    return _row(_column(before), _column([_play(image.copy()) for image in before]))


def local_model_to_video() -> Image.Image:
    noise = Image.effect_noise((112, 200), 160).convert("RGB")
    made = _shot(20, (112, 200), hue=60)
    return _row(noise, made, _play(made.copy()))


def resume_a_task() -> Image.Image:
    return _row(_play(_shot(13, (400, 280), hue=215)))


def frames_through_a_node_and_back() -> Image.Image:
    sharp = _shot(17, (204, 204), hue=140)
    return _row(sharp.filter(ImageFilter.GaussianBlur(4)), _play(sharp.copy()))


THUMBNAILS: tuple[Callable[[], Image.Image], ...] = (
    first_and_last_frame,
    continue_a_clip,
    three_shots,
    storyboard_to_film,
    batch_to_parallel_shots,
    local_model_to_video,
    resume_a_task,
    frames_through_a_node_and_back,
)


def write(folder: Path) -> list[Path]:
    paths = []
    for make in THUMBNAILS:
        path = folder / f"{make.__name__}.jpg"
        make().save(path, quality=84)
        paths.append(path)
    return paths
