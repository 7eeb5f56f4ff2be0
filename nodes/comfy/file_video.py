"""The VIDEO that Wait gives out: ComfyUI's own file video with this pack's decoder in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comfy_api.latest import InputImpl, Types

from ..media.clip.source import file_of, trim_window
from ..media.decode.decode import DecodeOptions, decode
from ..media.files import MediaCancelled
from .runtime import interrupted


class Wan27Video(InputImpl.VideoFromFile):
    """A finished video on disk, or the part of it that Video Slice has left.

    Core nodes that ask for components get the frames of the pack's decoder, faster and in a third of the memory. What
    is cropped or edited in another way stays core's, and so does saving: the streams of a whole file are copied.
    """

    def get_components(self) -> Types.VideoComponents:
        """Frames, sound (None where the file has none), average frame rate and tags.

        Raises MediaError for a file that cannot be read, InterruptProcessingException.
        """
        source = file_of(self)
        if source is None:
            return super().get_components()
        try:
            options = DecodeOptions(want_last_frame=False).inside(*trim_window(self))
            found = decode(source, options, cancelled=interrupted)
        except MediaCancelled:
            from comfy.model_management import InterruptProcessingException

            raise InterruptProcessingException from None
        return Types.VideoComponents(
            images=found.images,
            audio=None if found.silent else found.audio,
            frame_rate=found.fps,
            metadata=found.metadata,
        )

    def get_components_internal(self, container: Any, *args: Any, **kwargs: Any) -> Types.VideoComponents:
        """Asked for by core's save_to, with the file already open, where the format is not the file's own."""
        if file_of(self) is None:  # edits that core makes, and its get_components comes here for them
            return super().get_components_internal(container, *args, **kwargs)
        return self.get_components()

    if hasattr(InputImpl.VideoFromFile, "as_trimmed"):

        def as_trimmed(self, *args: Any, **kwargs: Any) -> Any:
            """The part that core makes of it, with this decoder; None where core has none. Arguments are core's."""
            return _with_decoder(super().as_trimmed(*args, **kwargs))

    def __repr__(self) -> str:
        # ComfyUI writes inputs into history and error reports; the usual repr would tell folders of this machine.
        source = self.get_stream_source()
        return f"Wan27Video({Path(source).name if isinstance(source, str) else 'in memory'!r})"


def _with_decoder(video: Any) -> Any:
    """The same as a Wan27Video; what is no plain part of a file is given back as it is."""
    if type(video) is not InputImpl.VideoFromFile or file_of(video) is None:
        return video
    made = Wan27Video.__new__(Wan27Video)
    # All that core keeps of it goes along, under whatever names: its constructor differs from version to version.
    made.__dict__.update(vars(video))
    return made
