"""Images inside the request."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from nodes.api.connection import Connection
from nodes.core import errors
from nodes.core.errors import StorageError
from nodes.storage.inline import InlineStorage, explain_refused_image
from tests.media_files import media_file

NOVITA = Connection("novita", "https://api.novita.ai", "key")


@pytest.mark.parametrize(("name", "mime"), [("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp")])
def test_inline_put_turns_an_image_into_a_data_uri(name: str, mime: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    file = media_file(tmp_path, name)
    stored = asyncio.run(InlineStorage(NOVITA).put(file, on_progress=lambda done, total: told.append((done, total))))
    head, _, data = stored.url.partition(",")
    assert head == f"data:{mime};base64" and base64.b64decode(data) == file.path.read_bytes()
    assert stored.expires_at is None and told == [(file.size, file.size)]
    assert "does not document" in InlineStorage(NOVITA).privacy_notice


@pytest.mark.parametrize("name", ["a.wav", "a.mp4"])
def test_inline_put_refuses_audio_and_video_and_lists_the_storages(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        asyncio.run(InlineStorage(NOVITA).put(media_file(tmp_path, name)))
    said = str(caught.value)
    assert len(said.splitlines()) == 6
    for text in ("Novita AI", "dashscope, fal, replicate, kie", '"s3"', '"http"', '"comfyui"', "README", "config.toml"):
        assert text in said


FETCH = "InvalidParameter.DataInspection: Unable to download the media resource"


@pytest.mark.parametrize(
    ("error", "gets_it"),
    [
        (errors.MediaRefusedError("INVALID_IMAGE_FORMAT", status=400), True),
        (errors.ServiceError("INVALID_REQUEST_BODY", status=400), True),
        (errors.ServiceError("body too long", status=413), True),
        (errors.TaskFailedError(FETCH), True),
        (errors.Wan27Error(f"2 of 3 tasks gave no video\nt: {FETCH}"), True),
        (errors.TaskFailedError("DataInspectionFailed"), False),
        (errors.ServiceError("?", status=409), False),
        (errors.AuthenticationError("INVALID_API_KEY", status=400), False),
        (errors.BalanceError("BILLING_BALANCE_NOT_ENOUGH", status=400), False),
        (errors.ContentError("ILLEGAL_IMAGE_CONTENT", status=400), False),
        (errors.BudgetError("10 USD"), False),
        (errors.OutcomeUnknownError("lost"), False),
    ],
)
def test_explain_refused_image_lists_the_storages(error: errors.Wan27Error, gets_it: bool) -> None:
    said = str(error)
    for inline in (False, True):
        with pytest.raises(type(error)) as caught, explain_refused_image(inline, "Novita AI"):
            raise error
        raised = caught.value
        assert str(error) == said, "others may hold the original"
        assert (raised is error) == (not (inline and gets_it))
        assert str(raised).startswith(said)
        assert {**vars(raised)} == {**vars(error)}
        assert ("kind = " in str(raised)) == (inline and gets_it)
        assert ("README" in str(raised)) == (inline and gets_it)
