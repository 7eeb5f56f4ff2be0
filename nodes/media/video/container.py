"""Opening of a video file that a stranger may have made, and what its header says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...core.errors import reason_of
from ...core.mp4_index import FalseIndexError, check_index
from ..audio.waveform import MAX_SAMPLE_RATE
from ..files import MediaError, Source, name_of, open_binary
from .unreadable import no_frame

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import Container, InputContainer
    from av.stream import Stream

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,gif,apng,ogg,asf,mxf,nut,ivf,wtv,rm,"
    "h264,hevc,obu,av1,m4v,mjpeg,yuv4mpegpipe,dv,webp_pipe,webp_anim,mp3,wav,flac,aac"
)
"""Containers that hold their own frames. Playlists (hls, concat, dash, sdp, image2 …) are left out: such a file makes
FFmpeg open other files and addresses of its author's choice. FLV is left out because the demuxer of FFmpeg 7 (PyAV 14)
crashes if such a list is given."""
MAX_PIXELS, MAX_SIDE = 1 << 27, 1 << 15
"""A decoder must not allocate more for one frame, whatever the stream says (16384 × 8192)."""
MAX_RATE = 960
"""Frames per second that high-speed cameras write. A higher rate is a mistake, such as a time base taken for a rate."""
FALLBACK_RATE = Fraction(30)
"""Frames per second of a file that names no rate."""
SAMPLE_RATES = 1_000, MAX_SAMPLE_RATE
"""Samples per second. Resampling what a damaged file puts at one a second would take gigabytes."""
_DEFAULT, _ATTACHED_PIC = 0x1, 0x400
"""FFmpeg's AV_DISPOSITION_DEFAULT and AV_DISPOSITION_ATTACHED_PIC."""
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that do not leave out transparency, as FFmpeg's own do."""
_PROGRAM_STREAMS_SINCE = (62, 0, 0)
"""The libavformat of FFmpeg 8. That of FFmpeg 7 crashes if a program stream is opened with any options."""
_OPTIONS = {"format_whitelist": CONTAINERS, "max_pixels": str(MAX_PIXELS)}
"""FFmpeg decodes a frame or two to know what it opens. These must not be larger either."""


@contextmanager
def opened(source: Source, **options: str) -> Iterator[InputContainer]:
    """Open a file as a PyAV container. `options` are those of FFmpeg's demuxer.

    Raises:
        MediaError: the file does not exist, is not a video container, or declares more than it can hold.
    """
    import av

    file = _readable(source)
    _check_index(source)
    if av.library_versions["libavformat"] < _PROGRAM_STREAMS_SINCE and _is_program_stream(source):
        raise MediaError(
            f"{name_of(source)} is an MPEG program stream (.mpg, .vob), which PyAV {av.__version__} cannot open "
            "without crashing. Update PyAV to a version with FFmpeg 8, or save the video as mp4 first."
        )
    try:
        container = av.open(file, mode="r", options={**_OPTIONS, **options}, **_forgiving(av))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise no_frame(
            source,
            f"cannot be opened as a video: {reason_of(error)}. It may be damaged, or not a video file at all; "
            "ComfyUI's own players or ffmpeg can tell more. FLV and playlists are not read: save "
            "them as mp4 or mkv first.",
        ) from error
    try:
        yield container
    finally:
        _stop_threads(container)
        container.close()


def _check_index(source: Source) -> None:
    try:
        with open_binary(source) as file:
            check_index(file, name_of(source))
    except FalseIndexError as error:
        raise MediaError(str(error)) from None
    except OSError:
        return  # FFmpeg says why it cannot be read


def _stop_threads(container: InputContainer) -> None:
    """Let all decoding threads finish, without holding the GIL.

    Freeing a decoder waits for its threads with the GIL held. If something in the process has switched PyAV's logging
    on, a thread that finds damage waits for the GIL to log it: a deadlock.
    """
    for stream in container.streams:
        context = stream.codec_context
        if context is not None and context.is_open:
            context.flush_buffers()


def _forgiving(av: ModuleType) -> dict[str, Any]:
    """Return the argument that opens a file in spite of tags that are not UTF-8. PyAV 19 does so without it."""
    return {"metadata_errors": "replace"} if "metadata_errors" in (av.open.__doc__ or "") else {}


def video_stream(container: InputContainer, source: Source) -> VideoStream:
    """Return the first video stream that is not a cover image. Raises MediaError for none or an impossible one."""
    for stream in container.streams.video:
        if not is_cover(stream):
            _check_size(stream, source)
            return stream
    raise no_frame(source, "has no video stream. Link a video that has frames.")


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Return the audio stream that players choose of those with a decoder and a possible rate.

    That is the first one that the file marks as its default, or the first. In a transport stream one can begin later
    than FFmpeg looks when it opens the file. Its rate is unknown then, so a stream that says its rate comes first.
    """
    streams = [stream for stream in container.streams.audio if not why_unreadable(stream)]
    return max(streams, key=lambda stream: (bool(stream.sample_rate), _disposition(stream) & _DEFAULT), default=None)


def decoder_of(stream: VideoStream) -> Any:
    """Return the VideoCodecContext that decodes a stream: its own, or a new one that outputs its transparency too."""
    import av

    name = _WITH_ALPHA.get(codec_of(stream), "")
    says_alpha = any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())
    if not says_alpha or name not in av.codecs_available:
        return stream.codec_context
    context = av.CodecContext.create(name, "r")
    context.options = dict(stream.codec_context.options)
    return context


def why_unreadable(stream: AudioStream) -> str:
    """Return why an audio stream cannot be read, as part of a sentence; "" if it can."""
    if stream.codec_context is None:
        return "FFmpeg has no decoder for it here"
    low, high = SAMPLE_RATES
    if stream.sample_rate and not low <= stream.sample_rate <= high:
        return f"the file says that it has {stream.sample_rate} samples per second"
    return ""


def declared_rates(stream: VideoStream) -> tuple[Fraction, ...]:
    """Return the frame rates that the file names, without impossible ones: the average first, as ComfyUI takes it."""
    rates: dict[Fraction, None] = {}
    for name in ("average_rate", "guessed_rate", "base_rate"):
        with suppress(ZeroDivisionError):  # PyAV's answer to 0/0
            rate = getattr(stream, name)
            if rate and 0 < rate <= MAX_RATE:
                rates[Fraction(rate)] = None
    return tuple(rates)


def frame_rate(stream: VideoStream) -> Fraction:
    """Return the best of the rates that the file names."""
    return next(iter(declared_rates(stream)), FALLBACK_RATE)


def codec_of(stream: VideoStream) -> str:
    """Return the codec, not the decoder that reads it (older PyAV knows only that)."""
    context = stream.codec_context
    return str(getattr(context.codec, "canonical_name", context.name))


def is_mp4(container: Container) -> bool:
    """Return whether the container is mp4, mov or a relative, whose tables are exact."""
    return "mp4" in container.format.name.split(",")


def size_of(source: Source) -> int:
    """Return the bytes of the file."""
    if isinstance(source, BytesIO):
        return source.getbuffer().nbytes
    return Path(source).stat().st_size


def _readable(source: Source) -> str | BytesIO:
    if isinstance(source, BytesIO):
        return BytesIO(source.getvalue())  # shares the bytes; another node may be reading the same buffer
    if not Path(source).is_file():
        # This also keeps out FFmpeg's addresses ("http://…", "concat:…").
        raise MediaError(f"{name_of(source)} no longer exists. Run the node that made it again.")
    return str(Path(source).absolute())


def _is_program_stream(source: Source) -> bool:
    with open_binary(source) as file:
        return file.read(4) == b"\0\0\1\xba"


def is_cover(stream: Stream) -> bool:
    """Return whether a video stream is one image that belongs to the tags."""
    return bool(_disposition(stream) & _ATTACHED_PIC)


def _disposition(stream: Stream) -> int:
    disposition = getattr(stream, "disposition", 0)
    return int(getattr(disposition, "value", disposition))


def _check_size(stream: VideoStream, source: Source) -> None:
    name, context = name_of(source), stream.codec_context
    if context is None:
        raise no_frame(source, "has a codec that this FFmpeg cannot read. Convert it to H.264 first.")
    width, height = context.width, context.height
    if not width and stream.container.format.name == "webp_pipe":
        import av

        raise MediaError(
            f"{name} is an animated WebP, which PyAV {av.__version__} cannot read. Update PyAV to 19 or newer, or "
            "save the animation as mp4 or GIF."
        )
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise MediaError(
            f"{name} declares frames of {width}×{height}; at most {MAX_PIXELS // 10**6} million pixels and "
            f"{MAX_SIDE} a side are read. The file is damaged or not meant to be played."
        )
    context.options = {**context.options, "max_pixels": str(MAX_PIXELS)}
