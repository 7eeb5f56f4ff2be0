"""The intact files of the fuzz run: each codec in each container that people have it in, small and with audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.media_files import FILM_ORDER, Clip, set_channel_layout, write

_H264 = Clip(
    "libx264", size=(256, 240), frames=11, fps=5, gop=4, options={"preset": "ultrafast", "crf": "30"}, rate=48_000
)
"""240 px and 2 s: the smallest clip that Upload Video sends as it is."""
_HEVC = replace(_H264, codec="libx265", options={"preset": "ultrafast", "crf": "34", "x265-params": "log-level=none"})
_VP9 = replace(_H264, codec="libvpx-vp9", bit_rate=100_000, options={"cpu-used": "8", "deadline": "realtime"})
_AV1 = replace(_H264, codec="libsvtav1", options={"preset": "12", "crf": "50"})
_PRORES = replace(_H264, codec="prores_ks", pixels="yuv422p10le", options={"profile": "0"})
_OPUS = {"audio": "libopus"}
_PCM = {"audio": "pcm_s16le", "rate": 8_000}

CLIPS: Mapping[str, Clip] = {
    "h264_aac.mp4": _H264,
    "h264_fragments.mp4": replace(_H264, mux={"movflags": "frag_keyframe+empty_moov"}),
    "h264_index_in_front.mp4": replace(_H264, mux={"movflags": "faststart"}),
    "h264_opus.mp4": replace(_H264, audio="libopus"),
    "h264_10bit_pcm.mov": replace(_H264, pixels="yuv420p10le", audio="pcm_s24le", rate=8_000),
    "h264_film_order.mov": replace(_H264, layout="5.1(side)", audio="pcm_s16le", rate=8_000),
    "h264_aac.mkv": _H264,
    "h264_pcm.mkv": replace(_H264, audio="pcm_s16le", rate=8_000),
    "h264_aac.ts": _H264,
    "h264_pcm.avi": replace(_H264, audio="pcm_s16le", rate=8_000),
    "hevc_aac.mp4": _HEVC,
    "hevc_10bit_aac.mov": replace(_HEVC, pixels="yuv420p10le"),
    "hevc_opus.mkv": replace(_HEVC, audio="libopus"),
    "hevc_aac.ts": _HEVC,
    "vp9_opus.webm": replace(_VP9, audio="libopus"),
    "vp9_aac.mp4": _VP9,
    "av1_opus.webm": replace(_AV1, audio="libopus"),
    "av1_aac.mp4": _AV1,
    "av1_opus_5_1.mkv": replace(_AV1, audio="libopus", layout="5.1"),
    "prores_pcm.mov": replace(_PRORES, audio="pcm_s16le", rate=8_000),
    "prores_aac.mkv": _PRORES,
    "mpeg4_pcm.avi": replace(_H264, codec="mpeg4", options={}, audio="pcm_s16le", rate=8_000),
}
"""What is rendered, by file name."""


def write_corpus(folder: Path) -> list[Path]:
    """Render all files into the folder."""
    files = [write(folder / name, clip) for name, clip in CLIPS.items()]
    set_channel_layout(folder / "h264_film_order.mov", FILM_ORDER)
    return files
