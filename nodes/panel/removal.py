"""Taking a task off the list, with its file if the user asks for that.

The record stays in the ledger, hidden: it keeps the same request from being sent, and paid for, again.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.disk import patiently
from ..core.errors import RequestError, reason_of
from ..runner.output_files import is_changed
from .thumbnails import video_file

if TYPE_CHECKING:
    from ..ledger import Ledger, TaskRecord


def remove_task(ledger: Ledger, record: TaskRecord, *, output_dir: Path, with_file: bool) -> None:
    """Take a task off the list, and then delete what is wanted. May block.

    Raises:
        RequestError: its video may still arrive, or its file cannot be deleted. Nothing was changed.
        LedgerError: the ledger cannot be written. No file was deleted.
    """
    file = _file_to_delete(record, output_dir) if with_file else None
    if not ledger.hide(record.id):
        raise RequestError(
            "The video of this task is not on this machine yet, so the task stays in the list. Wait for it or fetch it "
            "again; a task that is queued can be canceled if the host allows it."
        )
    if file is not None:
        try:
            patiently(partial(file.unlink, missing_ok=True))
        except OSError as error:
            if not record.hidden:
                ledger.show(record.id)
            raise RequestError(
                f"{record.file} cannot be deleted: {reason_of(error)}. Close what has it open, such as a player or "
                "a preview in ComfyUI, and try again, or remove the task without its file."
            ) from error
    ledger.forget_workflow(record.prompt_id)


def _file_to_delete(record: TaskRecord, output_dir: Path) -> Path:
    """Return the name that the ledger has: if it is a link, the link is deleted and not what it leads to."""
    if record.file is None or video_file(record, output_dir) is None:
        raise RequestError("This task has no file in the output folder, so there is none to delete.")
    if is_changed(record, output_dir):
        raise RequestError(
            f"{record.file} was changed since it was saved, so it is not deleted with the task. Delete it by hand, or "
            "remove the task without its file."
        )
    return output_dir / record.file
