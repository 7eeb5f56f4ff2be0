"""Where the service does not take a picture that was sent inline, the error says which storages there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import MediaRefusedError, ServiceError, TaskFailedError, Wan27Error
from ..storage.inline import no_storage_text

_REFUSED = frozenset({400, 413, 415, 422})
"""Statuses of a request whose body was not liked; 413 is what a proxy says to a body that is too long for it."""

_NOT_FETCHED = ("Unable to download", "InvalidURL", "InvalidParameter.DataInspection")
"""What the model says where it could not fetch a URL."""


@contextmanager
def advised(inline: bool) -> Iterator[None]:
    """Add the advice to an error that may come of an inline picture.

    Args:
        inline: whether a picture was, or is likely to have been, sent inside the request.
    """
    try:
        yield
    except Wan27Error as error:
        if inline and _may_be_the_picture(error):
            error.args = (f"{error}\nThe picture was sent inside the request. {no_storage_text('image')}",)
        raise


def _may_be_the_picture(error: Wan27Error) -> bool:
    if isinstance(error, MediaRefusedError):
        return True
    if type(error) is ServiceError:  # its subclasses are about something else, such as the key or the prompt
        return error.status in _REFUSED
    # A failed task, or several failures at once as the base class with the text of each.
    return type(error) in (TaskFailedError, Wan27Error) and any(text in str(error) for text in _NOT_FETCHED)
