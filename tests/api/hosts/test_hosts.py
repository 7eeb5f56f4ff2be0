"""What every dialect has to do alike."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.api.dialect import Answer, Call, Dialect, UploadFile
from nodes.api.hosts import DIALECTS, dialect_of
from nodes.api.request import VideoRequest
from nodes.api.retry import Delivery, judge
from nodes.api.task import TaskHandle
from nodes.core import errors
from nodes.core.hosts import AUTO_ORDER, HOSTS, SANDBOX
from tests.hosts.fixtures import STAND_INS
from tests.hosts.stand_in import CONTINUATION, FRAMES

NAMES = tuple(HOSTS)


@pytest.mark.parametrize("name", NAMES)
def test_submit_sends_every_field_as_the_host_documents_it(name: str) -> None:
    """The stand-ins have the bodies as they are documented, and the conformance suite compares what arrives."""
    made = STAND_INS[name]()
    (route,) = (route for route in made.routes() if route.place == "submit")
    for values, body in ((FRAMES, made.frames), (CONTINUATION, made.continuation)):
        call = DIALECTS[name].submit(VideoRequest(**values))
        where = (call.method, call.path, call.at, call.with_key, call.params)
        assert where == (route.method, route.path, "base_url", True, None)
        assert call.json == body


@pytest.mark.parametrize("name", NAMES)
def test_submit_leaves_out_what_is_not_set(name: str) -> None:
    request = VideoRequest(image_url="https://h.example/i.png", prompt="", seed=None)
    text = repr(DIALECTS[name].submit(request).json)
    assert "None" not in text and "''" not in text
    assert "seed" not in text and "negative" not in text and "audio" not in text


@pytest.mark.parametrize("name", NAMES)
def test_host_is_in_every_table(name: str) -> None:
    dialect = DIALECTS[name]
    assert (dialect.name, dialect.host) == (name, HOSTS[name])
    assert name in AUTO_ORDER
    assert dialect_of(name) is dialect


def test_sandbox_speaks_the_first_dialect() -> None:
    assert dialect_of(SANDBOX) is DIALECTS["novita"]


@pytest.mark.parametrize("name", NAMES)
def test_methods_agree_with_the_capabilities(name: str) -> None:
    dialect, capable, file = DIALECTS[name], DIALECTS[name].capabilities, UploadFile("a.png", "image/png", 1)
    assert (dialect.cancel(TaskHandle("t")) is not None) == bool(capable.cancels)
    takes_uploads = capable.upload_seconds is not None
    assert takes_uploads or (dialect.prepare_upload(file), dialect.upload(file, None)) == (None, None)
    assert bool(dialect.host.upload_scheme) <= takes_uploads
    watermark = dialect.left_out(VideoRequest(watermark=True))
    assert bool(watermark) != capable.watermark
    assert dialect.left_out(VideoRequest()) == []


@pytest.mark.parametrize("name", NAMES)
def test_calls_carry_no_key_except_to_addresses_of_the_host(name: str) -> None:
    """Every free call is on one of the addresses in the table; the client adds the key by that."""
    dialect = DIALECTS[name]
    calls = [dialect.poll(TaskHandle("t")), dialect.cancel(TaskHandle("t")), dialect.balance(), dialect.key_check()]
    calls += [dialect.list_tasks(0.0, 1.0), dialect.prepare_upload(UploadFile("a.png", "image/png", 1))]
    for call in filter(None, calls):
        assert call.path.startswith("/") and call.at in dialect.host.addresses


def submit_error(dialect: Dialect, status: int, payload: Any) -> errors.ServiceError:
    with pytest.raises(errors.ServiceError) as caught:
        dialect.read_submit(Answer(status, payload))
    return caught.value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("status", "kind", "delivery"),
    [
        (400, errors.ServiceError, Delivery.REFUSED),
        (401, errors.AuthenticationError, Delivery.REFUSED),
        (402, errors.BalanceError, Delivery.REFUSED),
        (403, errors.AuthenticationError, Delivery.REFUSED),
        (404, errors.ModelNotFoundError, Delivery.REFUSED),
        (408, errors.ServiceError, Delivery.UNKNOWN),
        (409, errors.ServiceError, Delivery.UNKNOWN),
        (429, errors.RateLimitError, Delivery.RATE_LIMITED),
        (302, errors.ServiceError, Delivery.UNKNOWN),
        (500, errors.ServerError, Delivery.UNKNOWN),
        (502, errors.ServerError, Delivery.UNKNOWN),
        (503, errors.ServerError, Delivery.UNKNOWN),
        (504, errors.ServerError, Delivery.UNKNOWN),
    ],
)
def test_submit_error_without_a_body_is_judged_by_its_status(
    name: str, status: int, kind: type[Exception], delivery: Delivery
) -> None:
    error = submit_error(DIALECTS[name], status, None)
    assert type(error) is kind
    assert judge(error) is delivery
    assert str(status) in str(error)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("payload", [None, [], {}, "text", 5, {"output": None}, {"data": []}, {"id": 7}, {"code": "x"}])
def test_submit_answer_without_a_task_id_is_a_server_error(name: str, payload: Any) -> None:
    error = submit_error(DIALECTS[name], 200, payload)
    assert isinstance(error, errors.ServerError)
    assert judge(error) is Delivery.UNKNOWN


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("payload", [None, [], {}, "text", 5, {"output": None}, {"data": []}, {"task": 1}])
def test_poll_answer_that_cannot_be_read_is_a_server_error(name: str, payload: Any) -> None:
    dialect, task = DIALECTS[name], TaskHandle("t")
    with pytest.raises(errors.ServerError):
        dialect.read_poll(task, dialect.poll(task), Answer(200, payload))


@pytest.mark.parametrize("name", NAMES)
def test_errors_name_the_settings_of_their_host(name: str) -> None:
    dialect, host = DIALECTS[name], HOSTS[name]
    told = str(dialect.error(Answer(401)))
    assert f"api_key under [{name}] in config.toml (or {host.key_variable})" in told
    retired = str(submit_error(dialect, 404, None))
    assert dialect.model in retired and f"base_url under [{name}]" in retired and "connection" in retired


@pytest.mark.parametrize("name", NAMES)
def test_upload_of_another_host_is_refused_before_it_is_sent(name: str) -> None:
    request = VideoRequest(image_url="oss://dashscope-instant/x/a.png")
    assert bool(DIALECTS[name].problems(request)) == (name != "dashscope")


@pytest.mark.parametrize("name", NAMES)
def test_image_inside_the_request_is_refused_only_if_the_host_takes_none(name: str) -> None:
    request = VideoRequest(image_url="data:image/png;base64,AAAA")
    assert bool(DIALECTS[name].problems(request)) == (DIALECTS[name].capabilities.data_uris == "refused")


def test_call_repr_shows_neither_links_nor_bodies() -> None:
    call = Call("PUT", "https://bucket.example/a?signature=s", params={"q": "secret"}, json={"prompt": "private"})
    assert all(word not in repr(call) for word in ("signature", "secret", "private"))
