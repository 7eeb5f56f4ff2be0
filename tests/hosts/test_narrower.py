"""What a host lacks is said, or refused, before anything is paid for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nodes.api.hosts import DIALECTS
from nodes.api.request import VideoRequest
from nodes.config import Budget
from nodes.core import errors, limits
from nodes.ledger import Upload
from nodes.runner import fetching
from tests.hosts.fal import Fal
from tests.hosts.fixtures import host, only, running
from tests.hosts.pack import Pack, media_bytes, pack, submit
from tests.hosts.stand_in import StandIn

__all__ = ["host", "pack", "running"]

WITHOUT_WATERMARK = [name for name, dialect in DIALECTS.items() if not dialect.capabilities.watermark]
WITH_WATERMARK = [name for name in DIALECTS if name not in WITHOUT_WATERMARK]


@only(*WITHOUT_WATERMARK)
def test_watermark_that_the_host_lacks_is_left_out_with_a_message(pack: Pack, host: StandIn) -> None:
    made = submit(pack, pack.order(watermark=True))
    assert made.note == f"{pack.connection.host.title} makes no watermark: the video comes without one."
    assert "watermark" not in host.task().inputs
    assert submit(pack, pack.order(seed=2, watermark=False)).note == ""


@only(*WITH_WATERMARK)
def test_watermark_that_the_host_has_is_sent_without_a_message(pack: Pack, host: StandIn) -> None:
    assert submit(pack, pack.order(watermark=True)).note == ""
    assert host.task().inputs["watermark"] is True


@pytest.mark.parametrize("name", list(DIALECTS))
@pytest.mark.parametrize(
    ("seconds", "too_short_at"), [(2.0, {"replicate"}), (2.99, {"replicate"}), (3.0, set()), (None, set())]
)
def test_audio_that_is_too_short_for_the_host_is_a_problem(
    seconds: float | None, too_short_at: set[str], name: str
) -> None:
    request = VideoRequest(image_url="https://x.test/a.png", driving_audio_url="https://x.test/a.wav")
    problems = DIALECTS[name].problems(request, audio_seconds=seconds)
    assert bool(problems) == (name in too_short_at)
    assert all("at least 3 s" in text and "on_limit fit" in text for text in problems)


@pytest.mark.parametrize("name", list(DIALECTS))
def test_limits_of_a_host_only_narrow_those_of_the_model(name: str) -> None:
    capable = DIALECTS[name].capabilities
    assert limits.AUDIO.min_seconds <= capable.min_audio_seconds <= limits.AUDIO.max_seconds
    assert capable.upload_bytes is None or capable.upload_bytes >= limits.CLIP.max_bytes


@only("novita", "dashscope", "fal", "replicate", "kie")
def test_upload_at_one_host_is_not_used_at_another(pack: Pack, host: StandIn, tmp_path: Path) -> None:
    """The ledger knows a file of the same content elsewhere, that has not expired."""
    [own] = asyncio.run(pack.upload("image_url")).values()
    stored = pack.ledger_in_use.uploads.by_url(own)
    assert stored is not None
    elsewhere = Upload("https://elsewhere.test/f.png", stored.sha256, stored.content, "image", "another host", 9e9)
    pack.ledger_in_use.uploads.add(elsewhere)
    asyncio.run(pack.video("image_url"))
    assert host.task().media == {"image_url": media_bytes("image_url")}


@only("kie")
def test_image_inside_the_request_is_refused_before_it_is_sent(pack: Pack, host: StandIn) -> None:
    with pytest.raises(errors.RequestError, match="takes no images inside the request"):
        pack.run(pack.order(image_url="data:image/png;base64,AAAA"))
    assert host.seen == [] or {seen.place for seen in host.seen} == {"balance"}


@only("fal")
def test_balance_that_this_key_may_not_read_is_left_out(pack: Pack, host: Fal) -> None:
    host.balance_needs_admin = True
    [finished] = pack.run()
    assert "balance_usd" not in finished.info
    with pytest.raises(errors.AuthenticationError, match="fal reports the balance only to some kinds of keys"):
        asyncio.run(pack.runner.balance(pack.connection))


@only("novita", "ppio", "fal", "kie")
def test_balance_is_shown_after_a_video_where_the_host_tells_it(
    pack: Pack, host: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BALANCE_WAIT_SECONDS", 30.0)  # this machine may be busy
    [finished] = pack.run()
    assert finished.info["balance_usd"] > 0


@only("dashscope", "replicate")
def test_min_balance_refuses_where_the_host_does_not_tell_the_balance(pack: Pack, host: StandIn) -> None:
    pack.start(budget=Budget(min_balance_usd=5.0))
    with pytest.raises(errors.BudgetError, match=r"does not report the balance.*min_balance_usd to 0"):
        pack.run()
    assert host.count["submit"] == 0
    pack.start(budget=Budget())
    [finished] = pack.run()
    assert "balance_usd" not in finished.info
