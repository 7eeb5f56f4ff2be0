"""The VIDEO that Wait for Video outputs: ComfyUI's own file video with this pack's decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, Types

from ..media.decode.decode import DecodeOptions, decode
from ..media.files import MediaCancelled
from ..media.video.video_object import file_of, trim_window
from .runtime import interrupt_error, interrupted


class Wan27Video(InputImpl.VideoFromFile):
    """A finished video on disk, or a part of it that Video Slice selected.

    Core nodes that ask for components get the frames of the pack's decoder, which is faster and needs a third of the
    memory. Core handles all other edits, and saving: the streams of a whole file are copied.
    """

    def get_components(self) -> Types.VideoComponents:
        """Return frames, audio (None if the file has none), average frame rate and tags.

        Raises:
            MediaError: the file cannot be read.
            InterruptProcessingException: ComfyUI's, after an interrupt.
        """
        source = file_of(self)
        if source is None:
            return super().get_components()
        try:
            options = DecodeOptions(want_last_frame=False).inside(*trim_window(self))
            found = decode(source, options, cancelled=interrupted)
        except MediaCancelled:
            raise interrupt_error() from None
        return Types.VideoComponents(
            images=found.images,
            audio=None if found.silent else found.audio,
            frame_rate=found.fps,
            metadata=found.metadata,
        )

    def get_components_internal(self, container: Any, *args: Any, **kwargs: Any) -> Types.VideoComponents:
        """Return the components for core's save_to, which has opened the file and needs another format."""
        if file_of(self) is None:  # for other edits core's get_components calls this method
            return super().get_components_internal(container, *args, **kwargs)
        return self.get_components()

    if hasattr(InputImpl.VideoFromFile, "as_trimmed"):

        def as_trimmed(self, *args: Any, **kwargs: Any) -> Any:
            """Return the part that core selects, with this decoder, or None if core does. Arguments are core's."""
            video = super().as_trimmed(*args, **kwargs)
            if type(video) is not InputImpl.VideoFromFile or file_of(video) is None:
                return video
            trimmed = Wan27Video.__new__(Wan27Video)
            # Copies whatever attributes core has: its constructor differs from version to version.
            trimmed.__dict__.update(vars(video))
            return trimmed

    def __repr__(self) -> str:
        # ComfyUI writes inputs into history and error reports; the default repr would reveal folders of this machine.
        source = self.get_stream_source()
        return f"Wan27Video({Path(source).name if isinstance(source, str) else 'in memory'!r})"
