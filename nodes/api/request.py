"""A request for a video: its fields, and the rules that can be checked before it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..core import limits
from ..core.addresses import parse_http_url
from ..core.errors import RequestError
from ..core.hosts import UPLOAD_SCHEMES

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

MEDIA_FIELDS = ("image_url", "last_frame_url", "first_clip_url", "driving_audio_url")
"""The fields that hold the URL of a media file."""


@dataclass(frozen=True)
class VideoRequest:
    """A request in the service's own terms. A field that is None or "" is not sent.

    Attributes:
        prompt: 0-5000 characters.
        negative_prompt: 0-500 characters.
        image_url: first frame; excludes first_clip_url, one of the two is required.
        first_clip_url: clip to continue, 2-10 s.
        driving_audio_url: audio that drives lips and motion; not together with a clip.
        resolution: "720P" or "1080P"; sets the price.
        duration: seconds of the whole output, 2-15, including the clip.
        seed: 0-2147483647, None lets the service choose.
        prompt_extend: whether a language model rewrites short prompts.
        watermark: whether a mark is put into the bottom right corner.
    """

    prompt: str | None = None
    negative_prompt: str | None = None
    image_url: str | None = None
    last_frame_url: str | None = None
    first_clip_url: str | None = None
    driving_audio_url: str | None = None
    resolution: str = limits.DEFAULT_RESOLUTION
    duration: int = limits.DEFAULT_DURATION_SECONDS
    seed: int | None = None
    prompt_extend: bool = True
    watermark: bool = False

    def media(self) -> dict[str, str]:
        """Return the URLs that are set, by field name."""
        values = ((field, getattr(self, field)) for field in MEDIA_FIELDS)
        return {field: value for field, value in values if value}

    def check(self, *, clip_seconds: float | None = None) -> None:
        """Refuse what the service would refuse, or bill without any use.

        Raises:
            RequestError: names every broken rule, one per line.
        """
        problems = [*self._problems(), *_clip_problems(self, clip_seconds)]
        if problems:
            raise RequestError("\n".join(problems))

    def _problems(self) -> Iterator[str]:
        yield from text_problems(prompt=self.prompt, negative_prompt=self.negative_prompt)
        yield from combination_problems(set(self.media()))
        for field, url in self.media().items():
            yield from url_problems(field, url)
        yield from value_problems(self.resolution, self.duration, self.seed)


def text_problems(*, prompt: str | None, negative_prompt: str | None) -> Iterator[str]:
    """Yield what is wrong with the two prompts."""
    for name, text, limit in (
        ("prompt", prompt, limits.PROMPT_CHARS),
        ("negative_prompt", negative_prompt, limits.NEGATIVE_PROMPT_CHARS),
    ):
        if text and len(text) > limit:
            yield (
                f"{name} has {len(text)} characters; the limit is {limit}. "
                f"Shorten it by {len(text) - limit} characters."
            )
        if text and (broken := _LONE_SURROGATE.search(text)):
            yield (
                f"Character {broken.start() + 1} of {name} is {broken.group()!r}, half of a pair that stands for one "
                "character, so the text cannot be sent. Delete it; it is usually what is left of a cut emoji."
            )


def combination_problems(fields: set[str]) -> Iterator[str]:
    """Yield what is wrong with the set of media fields that will be sent.

    A first frame may come alone, with audio, with a last frame, or with both; a clip alone or with a last frame.
    """
    image, clip = "image_url" in fields, "first_clip_url" in fields
    if image and clip:
        yield (
            "image_url and first_clip_url are both set; a video starts from an image or from a clip. "
            "Unlink one of them."
        )
    if not image and not clip:
        alone = ", ".join(sorted(fields))
        given = f"only {alone} is set" if alone else "neither is set"
        yield (
            f"A first frame or a clip is missing: image_url or first_clip_url is required, {given}. "
            "Link a Wan 2.7 Upload Image node to image_url, or a Wan 2.7 Upload Video node to first_clip_url."
        )
    if clip and "driving_audio_url" in fields:
        yield (
            "driving_audio_url cannot be used together with first_clip_url: the service takes audio only with a "
            "first frame. Unlink the audio, or start from an image."
        )


def url_problems(field: str, url: str) -> Iterator[str]:
    """Yield what is wrong with a URL, as far as its text shows it."""
    shown = url if len(url) <= 80 else url[:77] + "..."
    if url.startswith("data:"):
        if not url.startswith("data:image/") or ";base64," not in url[:64]:
            yield f"{field}: only images can be sent as a data URI, in base64; this one starts with {url[:32]!r}."
        elif field not in ("image_url", "last_frame_url"):
            yield f"{field}: only images can be sent as a data URI. Use an upload node, or a public URL."
        elif not url.isascii() or not url.isprintable():
            yield f"{field}: the data URI contains characters that base64 does not have. Copy it again."
        return
    if " " in url or not url.isprintable():
        yield f"{field}: {shown!r} contains spaces or control characters. Paste a plain http(s) URL."
    elif parse_http_url(url) is None and not url.startswith(UPLOAD_SCHEMES):
        yield (
            f"{field}: {shown!r} is not an http(s) URL. Link an upload node, or paste the URL of a file that the "
            "service can fetch from the internet."
        )


def value_problems(resolution: object, duration: object, seed: object) -> Iterator[str]:
    """Yield what is wrong with resolution, duration and seed."""
    yield from limits.choice_problems(resolution=(resolution, limits.RESOLUTIONS))
    low, high = limits.DURATION_SECONDS
    if type(duration) is not int or not low <= duration <= high:
        yield f"duration is {duration!r}; it must be a whole number of seconds from {low} to {high}."
    low, high = limits.SEED
    if seed is not None and (type(seed) is not int or not low <= seed <= high):
        yield f"seed is {seed!r}; it must be a whole number from {low} to {high}."


def _clip_problems(request: VideoRequest, clip_seconds: float | None) -> Iterator[str]:
    if clip_seconds is None or not request.first_clip_url or type(request.duration) is not int:
        return
    if request.duration <= clip_seconds:
        yield (
            f"duration is {request.duration} s and the clip is {clip_seconds:.2f} s long. duration is the total "
            "length including the clip, so it must be longer than the clip. Raise duration, or shorten the clip."
        )
