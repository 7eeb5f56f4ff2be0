"""Wan 2.7 Join Videos: from shots to one film."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from .comfy.node_inputs import literal_choice_problems, literal_value
from .comfy.node_schema import CATEGORY, aliases, choice, output
from .comfy.runtime import Job, executing, in_thread, report, temp_dir
from .core.limits import choice_problems
from .media.files import MediaError
from .services import get_process

if TYPE_CHECKING:
    from .media.join.film import Film, JoinOptions

SEAMS = ("keep", "drop_repeated")
MATCH_COLORS = ("off", "to_previous")
CROSSFADE_SECONDS = (0.0, 2.0)
SOCKETS = tuple(f"video_{number}" for number in range(1, 9))


class Wan27JoinVideos(io.ComfyNode):
    """Joins shots to one mp4 with one audio track."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        low, high = CROSSFADE_SECONDS
        sockets = [
            io.Video.Input(name, optional=True, tooltip="A shot. Linked sockets are joined in order, after videos.")
            for name in SOCKETS
        ]
        return io.Schema(
            node_id="Wan27JoinVideos",
            display_name="Wan 2.7 Join Videos",
            category=CATEGORY,
            description=(
                "Joins shots to one mp4 with one audio track. Shots that are alike are joined without encoding their "
                "frames again; anything else takes the size, frame rate and audio format of the first shot."
            ),
            **aliases("concatenate videos", "combine videos", "merge videos", "append video", "crossfade", "film"),
            is_input_list=True,
            inputs=[
                io.Video.Input(
                    "videos",
                    optional=True,
                    tooltip="Shots as a list, for example the videos of a batch from Wan 2.7 Wait for Video.",
                ),
                *sockets,
                choice(
                    "seam",
                    SEAMS,
                    "keep: all frames. drop_repeated: leave out the first frame of a shot if it repeats the last frame "
                    "of the shot before, as it does in a shot that was started from it.",
                ),
                io.Float.Input(
                    "crossfade_seconds",
                    default=low,
                    min=low,
                    max=high,
                    step=0.05,
                    tooltip="Seconds by which shots overlap, frames and audio. 0 is a cut; only the audio is "
                    "crossfaded there, for 20 ms, so that it does not click.",
                ),
                choice(
                    "match_colors",
                    MATCH_COLORS,
                    "to_previous: start each shot with the colors of the one before, and return to its own within 2 s.",
                ),
            ],
            outputs=[
                output(io.Video, "video", "The film. Save Video saves it without encoding it again."),
                output(
                    io.String,
                    "info",
                    "JSON: shots, frames, seconds, size and fps, how it was made, each seam, and notes.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, seam: Any = None, match_colors: Any = None) -> bool | str:
        """Check the choices, which ComfyUI does not."""
        choices = {"seam": (literal_value(seam), SEAMS), "match_colors": (literal_value(match_colors), MATCH_COLORS)}
        return " ".join(literal_choice_problems(**choices)) or True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> Any:
        """Run again if the film was deleted from ComfyUI's temporary folder."""
        return get_process().node_cache.generation(f"join {executing()[1]}")

    @classmethod
    async def execute(
        cls,
        seam: Sequence[Any] = SEAMS[:1],
        crossfade_seconds: Sequence[Any] = CROSSFADE_SECONDS[:1],
        match_colors: Sequence[Any] = MATCH_COLORS[:1],
        **videos: Sequence[Any],
    ) -> io.NodeOutput:
        """Join in a thread. Raises MediaError, with what the user can do about it."""
        from .comfy.file_video import Wan27Video

        shots = list(videos.get("videos") or ())
        shots += [video for name in SOCKETS for video in videos.get(name) or () if video is not None]
        options = _options(*(value[0] if value else None for value in (seam, crossfade_seconds, match_colors)))
        if not shots:
            raise MediaError("No video is linked, so there is nothing to join. Link videos, or video_1 and video_2.")
        prompt_id, node_id = executing()
        path = temp_dir() / f"wan27_film_{secrets.token_hex(8)}.mp4"
        film = await in_thread(_join, shots, path, options)
        report(_notes(film), node_id=node_id)
        get_process().node_cache.add_check(f"join {node_id}", lambda: not path.is_file(), prompt_id=prompt_id)
        return io.NodeOutput(Wan27Video(str(path)), json.dumps(_info(film), ensure_ascii=False))


def _options(seam: Any, crossfade_seconds: Any, match_colors: Any) -> JoinOptions:
    from .media.join.film import JoinOptions

    problems = list(choice_problems(seam=(seam, SEAMS), match_colors=(match_colors, MATCH_COLORS)))
    low, high = CROSSFADE_SECONDS
    if not isinstance(crossfade_seconds, (int, float)) or not low <= crossfade_seconds <= high:
        problems.append(f"crossfade_seconds is {crossfade_seconds!r}; it must be from {low:g} to {high:g}.")
    if problems:
        raise MediaError(" ".join(problems))
    return JoinOptions(seam == SEAMS[1], float(crossfade_seconds), match_colors == MATCH_COLORS[1])


def _join(job: Job, shots: Sequence[Any], path: Path, options: JoinOptions) -> Film:
    from .media.join.join import join_videos

    return join_videos(shots, path, options, cancelled=job.cancelled, on_progress=job.progress, on_step=job.begin)


def _notes(film: Film) -> list[str]:
    how = "frames copied without encoding" if film.copied else f"encoded, as {film.reason}"
    shots = f"{len(film.frames)} shot{'s' * (len(film.frames) > 1)}"
    notes = [f"{shots}, {float(film.seconds):.2f} s: {how}."]
    dropped = [str(number) for number, seam in enumerate(film.seams, 2) if seam.dropped]
    if dropped:
        notes.append(f"Left out the repeated first frame of shot {', '.join(dropped)}.")
    matched = [
        f"{seam.color_step[0]:.1f} → {seam.color_step[1]:.1f}" for seam in film.seams if seam.color_step is not None
    ]
    if matched:
        notes.append(f"Color difference at the seams, of 255: {', '.join(matched)}.")
    return notes + film.notes


def _info(film: Film) -> dict[str, Any]:
    width, height = film.form.size
    return {
        "shots": len(film.frames),
        "frames": film.total,
        "frames_of_shots": film.frames,
        "seconds": round(float(film.seconds), 3),
        "width": width,
        "height": height,
        "fps": round(float(film.form.fps), 3),
        "audio": film.form.audio is not None,
        "encoded": not film.copied,
        "reason": film.reason,
        "seams": [
            {
                "dropped_repeated_frame": seam.dropped,
                **({} if seam.color_step is None else dict(zip(_STEPS, map(_rounded, seam.color_step), strict=True))),
            }
            for seam in film.seams
        ],
        "notes": film.notes,
    }


_STEPS = ("color_step_before", "color_step_after")


def _rounded(value: float) -> float:
    return round(value, 2)
