"""The real runner, client, storage and ledger against a strict stand-in of every host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes.core import errors
from nodes.runner.models import Progress
from tests.conftest import Measured
from tests.hosts.fixtures import LISTING, STAND_INS, UPLOADING, host, only, running
from tests.hosts.pack import Pack, media_bytes, pack, submit
from tests.hosts.stand_in import CONTINUATION, FRAMES, MEDIA, StandIn
from tests.runner.conftest import soon
from tests.service import at
from tests.storage.servers import everything_said

__all__ = ["host", "pack", "running"]

COMBINATIONS = {
    "first": ("image_url",),
    "first and audio": ("image_url", "driving_audio_url"),
    "first and last": ("image_url", "last_frame_url"),
    "first, last and audio": ("image_url", "last_frame_url", "driving_audio_url"),
    "clip": ("first_clip_url",),
    "clip and last": ("first_clip_url", "last_frame_url"),
}
"""What the model takes together."""


def check_delivered(pack: Pack, host: StandIn) -> None:
    """Check that the host made one task, and that its video is on disk unchanged."""
    [task_id] = host.accepted()
    [video] = pack.videos
    assert video.read_bytes() == host.video(task_id)
    assert pack.states() == ["saved"]


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", COMBINATIONS.values(), ids=COMBINATIONS)
def test_media_arrive_as_they_are_in_their_own_inputs(pack: Pack, host: StandIn, names: tuple[str, ...]) -> None:
    """What the host cannot store is a public URL."""
    public = {name for name in names if not host.upload_seconds and name not in ("image_url", "last_frame_url")}
    urls = {name: f"https://x.test/{name}" for name in public}
    asyncio.run(pack.video(*(name for name in names if name not in public), **urls))

    assert host.task().media == {name: None if name in public else media_bytes(name) for name in names}
    check_delivered(pack, host)
    assert host.count["submit"] == 1


@only("novita", "ppio")
@pytest.mark.parametrize("name", ["driving_audio_url", "first_clip_url"])
def test_media_that_the_host_cannot_store_are_refused_with_the_ways_out(pack: Pack, host: StandIn, name: str) -> None:
    with pytest.raises(errors.StorageError, match='kind = "s3"'):
        asyncio.run(pack.upload(name))


@pytest.mark.parametrize("request_, example", [(FRAMES, "frames"), (CONTINUATION, "continuation")])
def test_fields_are_sent_by_the_names_that_the_host_documents(
    pack: Pack, host: StandIn, request_: dict[str, Any], example: str
) -> None:
    pack.run(pack.order(**request_))
    assert host.task().body == getattr(host, example)


def test_fields_that_are_not_set_are_not_sent(pack: Pack, host: StandIn) -> None:
    pack.run(pack.order(prompt="", seed=None))
    sent = {*host.task().inputs}
    assert sent & {*MEDIA, "prompt", "negative_prompt", "seed"} == {"image_url"}


def test_video_from_one_image_takes_few_requests(pack: Pack, host: StandIn, measured: Measured) -> None:
    asyncio.run(pack.video("image_url"))
    places = ", ".join(f"{count} {place}" for place, count in host.count.items())
    measured(f"{host.name}: {len(host.seen)} requests for one video from one image ({places})")
    assert host.count["balance"] <= 2
    assert len(host.seen) - host.count["result"] - host.count["balance"] <= 5


# --- states ---------------------------------------------------------------------------------------------------------


def test_states_are_told_apart(pack: Pack, host: StandIn) -> None:
    async def states() -> set[str]:
        seen: set[str] = set()

        def note(progress: Progress) -> None:
            seen.add(progress.state)
            host.hold = {"queued": "running", "processing": ""}.get(progress.state, host.hold)

        host.hold = "queued"
        [submitted] = await pack.submit()
        await pack.wait(submitted.task_id, note)
        return seen

    assert {"queued", "processing", "downloading"} <= asyncio.run(states())
    check_delivered(pack, host)


def test_failure_is_told_with_its_reason(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "task", "kind": "fail", "reason": "DataInspectionFailed: the content is not appropriate"})
    with pytest.raises(errors.TaskFailedError, match="the content is not appropriate"):
        pack.run()
    assert pack.states() == ["failed"]
    assert host.count["submit"] == 1


# --- refusals of a submit -------------------------------------------------------------------------------------------

REFUSALS: dict[int, tuple[type[Exception], ...]] = {
    401: (errors.AuthenticationError,),
    402: (errors.BalanceError,),
    403: (errors.AuthenticationError, errors.BalanceError),
    404: (errors.ModelNotFoundError,),
    422: (errors.MediaRefusedError, errors.ServiceError),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_refusal_costs_nothing_and_is_not_repeated(pack: Pack, host: StandIn, status: int) -> None:
    host.faults({"at": "submit", "kind": "error", "status": status})
    with pytest.raises(REFUSALS[status]) as caught:
        pack.run()
    assert not isinstance(caught.value, errors.ServerError)
    assert host.count["submit"] == 1
    assert pack.states() == ["failed"]
    assert pack.ledger().spent() == (0, 0)


def test_wrong_key_names_the_setting(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "submit", "kind": "error", "status": 401})
    with pytest.raises(errors.AuthenticationError) as caught:
        pack.run()
    assert host.key_variable in str(caught.value)


def test_retired_model_names_the_base_url(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "submit", "kind": "error", "status": 404})
    with pytest.raises(errors.ModelNotFoundError, match="base_url"):
        pack.run()


def test_rate_limit_is_waited_for(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "submit", "kind": "rate_limit", "retry_after": 1})
    pack.run()
    assert host.count["submit"] == 2
    check_delivered(pack, host)


def test_late_answer_is_waited_for(pack: Pack, host: StandIn) -> None:
    async def late() -> None:
        host.answer.clear()
        making = asyncio.ensure_future(pack.make())
        await soon(host.arrived.is_set)
        assert not making.done()
        host.answer.set()
        await making

    asyncio.run(late())
    check_delivered(pack, host)
    assert host.count["submit"] == 1


# --- polls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        *at("result", "server_error", "unavailable", "broken_json", "cut"),
        *at("result", "rate_limit", retry_after=0),
        *at("result", "error", status=408),
    ],
    ids=["500", "503", "garbled", "cut", "429", "408"],
)
def test_poll_is_repeated_after_trouble(pack: Pack, host: StandIn, fault: dict[str, Any]) -> None:
    host.faults({**fault, "count": 2})
    pack.run()
    check_delivered(pack, host)
    assert host.count["submit"] == 1


def test_poll_with_a_wrong_key_leaves_the_task_to_collect(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "result", "kind": "unauthorized", "count": None})
    with pytest.raises(errors.AuthenticationError, match=host.key_variable):
        pack.run()
    assert pack.states() == ["submitted"]
    host.faults()
    pack.run()
    check_delivered(pack, host)
    assert host.count["submit"] == 1


def test_task_id_that_the_host_does_not_know_is_an_error(pack: Pack, host: StandIn) -> None:
    with pytest.raises(errors.TaskNotFoundError):
        asyncio.run(pack.wait(host.new_id()))


def test_pasted_task_id_is_collected(pack: Pack, host: StandIn, tmp_path: Path) -> None:
    pack.run()
    other = Pack(tmp_path / "other", host)
    try:
        finished = asyncio.run(other.wait(host.task().id))
    finally:
        other.close()
    assert finished.path.read_bytes() == host.video(host.task().id)


def test_restart_continues_a_task(pack: Pack, host: StandIn) -> None:
    host.hold = "running"
    task_id = submit(pack).task_id
    pack.stop()
    host.hold = ""
    pack.start().resume_unfinished()
    asyncio.run(soon(lambda: pack.states() == ["saved"]))
    assert asyncio.run(pack.wait(task_id)).path.read_bytes() == host.video(task_id)
    pack.run()
    assert host.count["submit"] == 1


# --- what expires ---------------------------------------------------------------------------------------------------


@only(*UPLOADING)
def test_upload_is_made_again_after_it_expired_and_not_before(pack: Pack, host: StandIn) -> None:
    first = asyncio.run(pack.upload("image_url"))
    assert asyncio.run(pack.upload("image_url")) == first
    host.ahead = host.upload_seconds - 3600
    assert asyncio.run(pack.upload("image_url")) == first
    assert host.count["upload"] == 1
    host.ahead = host.upload_seconds + 60
    asyncio.run(pack.video("image_url"))
    assert host.count["upload"] == 2
    assert host.task().media == {"image_url": media_bytes("image_url")}


def test_expired_link_is_replaced_by_a_fresh_one(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "download", "kind": "expired"})
    pack.run()
    check_delivered(pack, host)
    assert host.count["download"] == 2


def test_video_that_cannot_be_had_any_more_is_an_error_and_not_paid_again(pack: Pack, host: StandIn) -> None:
    host.faults({"at": "download", "kind": "expired", "count": None})
    with pytest.raises(errors.DownloadError, match="finished and paid for, but its video is gone"):
        pack.run()
    with pytest.raises(errors.DownloadError, match="finished and paid for, but its video is gone"):
        pack.run()
    assert host.count["submit"] == 1


def test_cut_download_is_continued(pack: Pack, host: StandIn) -> None:
    host.faults(*at("download", "cut", "cut", bytes=1000))
    pack.run()
    check_delivered(pack, host)
    assert all("authorization" not in seen.headers for seen in host.at("download"))


# --- another host ---------------------------------------------------------------------------------------------------


@pytest.fixture
def other(pack: Pack, host: StandIn, tmp_path: Path) -> Iterator[Pack]:
    """The same ComfyUI later, with a key for another host too, and a setting that says so."""
    with STAND_INS["kie" if host.name == "fal" else "fal"]() as there:
        settings = {**host.environment(), "WAN27_CONNECTION": there.name}
        made = Pack(tmp_path, there, settings)
        yield made
        made.close()
        assert there.mistakes == []


def test_reuse_finds_a_video_that_another_host_made(pack: Pack, host: StandIn, other: Pack) -> None:
    asyncio.run(pack.video("image_url"))
    pack.stop()
    finished = asyncio.run(other.video("image_url"))
    assert finished.path.read_bytes() == host.video(host.task().id)
    assert (host.count["submit"], other.host.count["submit"]) == (1, 0)


def test_reuse_waits_for_a_task_at_the_host_that_has_it(pack: Pack, host: StandIn, other: Pack) -> None:
    host.hold = "running"
    submit(pack)
    pack.stop()
    host.hold = ""
    again = submit(other)
    assert again.reused
    assert pack.connection.host.title in again.note
    assert asyncio.run(other.wait(again.task_id)).path.read_bytes() == host.video(host.task().id)
    assert other.host.count["submit"] == 0


def test_upload_of_one_host_is_not_used_at_another(pack: Pack, host: StandIn, other: Pack) -> None:
    here = asyncio.run(pack.upload("image_url"))
    assert asyncio.run(other.upload("image_url")) != here


# --- lost answers ---------------------------------------------------------------------------------------------------

LOST = [*at("submit", "lost_answer", "page", "no_id"), *at("submit", "server_error", made=True)]


@only(*LISTING)
@pytest.mark.parametrize("fault", LOST, ids=[fault["kind"] for fault in LOST])
def test_lost_answer_is_found_in_the_list(pack: Pack, host: StandIn, fault: dict[str, Any]) -> None:
    host.faults(fault)
    pack.run()
    check_delivered(pack, host)
    assert host.count["submit"] == 1


@only("novita", "ppio", "kie")
@pytest.mark.parametrize("fault", LOST, ids=[fault["kind"] for fault in LOST])
def test_lost_answer_stays_unknown_without_a_list(pack: Pack, host: StandIn, fault: dict[str, Any]) -> None:
    host.faults(fault)
    for _ in range(2):
        with pytest.raises(errors.OutcomeUnknownError, match="submit_again"):
            pack.run()
    assert pack.states() == ["unknown"]
    assert host.count["submit"] == 1


# --- secrets --------------------------------------------------------------------------------------------------------


def test_secrets_are_in_no_log_error_or_history(
    pack: Pack, host: StandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    names = COMBINATIONS["first, last and audio"] if host.upload_seconds else ("image_url",)
    asyncio.run(pack.video(*names))
    for number, fault in enumerate(
        (
            *at("submit", "error", status=401),
            *at("submit", "error", status=422),
            *at("submit", "page", "lost_answer", "server_error"),
            *at("result", "unauthorized", count=None),
            *at("task", "fail"),
            *at("download", "expired", count=None),
        )
    ):
        host.faults(fault)
        try:
            pack.run(pack.order(seed=100 + number))
        except errors.Wan27Error as error:
            said.append(everything_said(error))
    host.faults()
    said += [repr(pack.connection), repr(pack.settings), repr(pack.ledger().task_list.page(limit=200))]
    pack.stop()

    assert len(said) >= 8
    for text in (caplog.text, *said):
        assert not [secret for secret in host.secrets if secret in text]
    written = b"".join(path.read_bytes() for path in (tmp_path / "user").rglob("*") if path.is_file())
    assert host.key.encode() not in written
