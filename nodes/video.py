"""The VIDEO that Wait gives out: ComfyUI's own file video with this pack's decoder in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, Types

from .background import interrupted
from .media.decode import DecodeOptions, decode
from .media.file import MediaCancelled


class Wan27Video(InputImpl.VideoFromFile):
    """A finished video on disk.

    Core nodes that ask for components get the same frames as from core, faster and in a third of the memory. Saving
    stays core's: the streams are copied, not encoded again.
    """

    def get_components(self) -> Types.VideoComponents:
        """Frames, sound (None where the file has none), average frame rate and tags, as core gives them."""
        try:
            found = decode(self.get_stream_source(), DecodeOptions(want_last_frame=False), cancelled=interrupted)
        except MediaCancelled:
            from comfy.model_management import InterruptProcessingException

            raise InterruptProcessingException from None
        return Types.VideoComponents(
            images=found.images,
            audio=None if found.silent else found.audio,
            frame_rate=found.fps,
            metadata=found.metadata,
        )

    def get_components_internal(self, container: Any, *_: Any, **__: Any) -> Types.VideoComponents:
        """Asked for by core's save_to, with the file already open, where the format is not the file's own."""
        return self.get_components()

    def __repr__(self) -> str:
        # ComfyUI writes inputs into history and error reports; the usual repr would tell folders of this machine.
        source = self.get_stream_source()
        return f"Wan27Video({Path(source).name if isinstance(source, str) else 'in memory'!r})"
