"""Addresses that a host's answers name, and what is peculiar to one host."""

from __future__ import annotations

import asyncio

import pytest

from nodes.core import errors
from tests.hosts.dashscope import DashScope
from tests.hosts.fal import Fal
from tests.hosts.fixtures import host, only, running
from tests.hosts.kie import Kie
from tests.hosts.pack import Pack, media_bytes, pack, submit
from tests.hosts.replicate import Replicate
from tests.hosts.stand_in import StandIn, Task
from tests.hosts.test_conformance import REFUSALS, check_delivered

__all__ = ["host", "pack", "running"]


def test_link_into_a_private_network_is_not_opened(pack: Pack, host: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(task: Task) -> str:
        return "http://10.0.0.1/video.mp4"

    monkeypatch.setattr(host, "link", link)
    with pytest.raises(errors.DownloadError, match=r"private network|only https"):
        pack.run()
    assert pack.videos == []


@only("fal")
def test_fal_urls_on_another_origin_get_no_key(pack: Pack, host: Fal) -> None:
    """The stand-in records a key at the other origin as a mistake."""
    host.urls_at = "other"
    pack.run()
    check_delivered(pack, host)
    assert [seen for seen in host.seen if seen.origin == "other"] == []


@only("fal")
def test_fal_urls_of_the_answer_are_used(pack: Pack, host: Fal) -> None:
    pack.run()
    assert {seen.place for seen in host.seen if seen.origin == "api"} == {"submit", "result", "response"}


@only("dashscope")
@pytest.mark.parametrize("address", ["http://10.0.0.1", "https://192.168.1.1/", "file:///etc/passwd"])
def test_dashscope_upload_into_a_private_network_is_refused(pack: Pack, host: DashScope, address: str) -> None:
    host.upload_host = address
    with pytest.raises(errors.StorageError):
        asyncio.run(pack.upload("image_url"))
    assert host.count["upload"] == 0


@only("dashscope")
def test_dashscope_policy_is_used_for_several_files(pack: Pack, host: DashScope) -> None:
    names = ("image_url", "last_frame_url", "driving_audio_url")
    asyncio.run(pack.video(*names))
    assert host.task().media == {name: media_bytes(name) for name in names}
    assert (host.count["policy"], host.count["upload"]) == (1, 3)


@only("dashscope")
def test_dashscope_policy_that_has_expired_is_not_used(pack: Pack, host: DashScope) -> None:
    asyncio.run(pack.upload("image_url"))
    host.ahead = 600
    asyncio.run(pack.upload("last_frame_url"))
    assert (host.count["policy"], host.count["upload"]) == (2, 2)


@only("replicate")
def test_replicate_output_can_be_a_list(pack: Pack, host: Replicate) -> None:
    host.output_is_list = True
    pack.run()
    check_delivered(pack, host)


@only("kie")
@pytest.mark.parametrize("status", REFUSALS)
def test_kie_errors_are_understood_with_their_http_status_too(pack: Pack, host: Kie, status: int) -> None:
    host.hidden_errors = False
    host.faults({"at": "submit", "kind": "error", "status": status})
    with pytest.raises(REFUSALS[status]):
        pack.run()
    assert pack.states() == ["failed"]


@only("replicate")
def test_replicate_result_that_vanished_is_not_asked_for_again_and_again(pack: Pack, host: Replicate) -> None:
    """Replicate removes input and output after an hour."""
    host.hold = "running"
    task_id = submit(pack).task_id
    pack.stop()
    host.hold = ""
    for _ in range(3):
        host.look(host.task())
    host.ahead = 2 * 3600
    pack.start()
    with pytest.raises(errors.TaskNotFoundError, match="submit_again"):
        asyncio.run(pack.wait(task_id))
    assert host.count["submit"] == 1
