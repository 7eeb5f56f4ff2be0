from __future__ import annotations

import base64
import hashlib
import json

import pytest

from nodes.api.connection import Connection
from nodes.api.request import VideoRequest
from nodes.runner.fingerprint import fingerprint, stored_request
from nodes.runner.models import Order

CONTENT = b"the bytes of an image"
SHA = hashlib.sha256(CONTENT).hexdigest()
UPLOADS = {
    "https://bucket/one.png?signature=secret": SHA,
    "https://bucket/two.png": SHA,
    "https://elsewhere/three.png": SHA,
    "https://bucket/cat.png": "c" * 64,
}
NOVITA = Connection("novita", "https://api.novita.ai", "key")
BASE = {"prompt": "waves", "image_url": "https://bucket/one.png?signature=secret", "seed": 3}


def order(connection: Connection = NOVITA, **fields: object) -> Order:
    return Order(VideoRequest(**{**BASE, **fields}), connection)  # type: ignore[arg-type]


def of(made: Order) -> str:
    return fingerprint(made, UPLOADS.get)


@pytest.mark.parametrize(
    "same",
    [
        order(),
        order(image_url="https://bucket/two.png"),
        order(image_url="https://elsewhere/three.png"),
        order(image_url="data:image/png;base64," + base64.b64encode(CONTENT).decode()),
        order(negative_prompt=""),
        order(last_frame_url=""),
        order(Connection("novita", "https://API.novita.ai", "another key", {"720P": 9.0, "1080P": 9.0})),
        Order(order().request, NOVITA, on_repeat="submit_again", prompt_id="p", node_id="n"),
    ],
)
def test_fingerprint_is_the_same_for_equal_requests(same: Order) -> None:
    assert of(same) == of(order())


@pytest.mark.parametrize(
    "other",
    [
        order(prompt="Waves"),
        order(negative_prompt="text"),
        order(image_url="https://bucket/cat.png"),
        order(image_url="https://unknown/one.png"),
        order(last_frame_url="https://bucket/one.png?signature=secret"),
        order(image_url=None, first_clip_url="https://bucket/two.png"),
        order(resolution="720P"),
        order(duration=6),
        order(seed=4),
        order(seed=None),
        order(prompt_extend=False),
        order(watermark=True),
        order(Connection("novita", "https://other.test", "key")),
        order(Connection("sandbox", "http://127.0.0.1:1", "key")),
    ],
)
def test_fingerprint_differs_for_other_requests(other: Order) -> None:
    assert of(other) != of(order())


def test_fingerprint_ignores_the_port_of_the_sandbox() -> None:
    first, second = (order(Connection("sandbox", f"http://127.0.0.1:{port}", "")) for port in (1, 2))
    assert of(first) == of(second)


def test_stored_request_contains_no_signature_and_no_image() -> None:
    stored = stored_request(order().request, UPLOADS.get)
    assert stored["image_url"] == f"sha256:{SHA}"
    unknown = stored_request(
        order(image_url="https://user:pw@host/a.png?X-Amz-Signature=secret#x").request, UPLOADS.get
    )
    assert unknown["image_url"].startswith("https://host/a.png#")
    inline = stored_request(order(image_url="data:image/png;base64," + "A" * 4000).request, UPLOADS.get)
    assert len(json.dumps(inline)) < 1000
    assert not any("secret" in str(request) or "pw@" in str(request) for request in (stored, unknown, inline))


def test_fingerprint_of_a_data_uri_is_that_of_its_upload_if_known() -> None:
    uri = "data:image/png;base64," + base64.b64encode(b"another encoder's bytes").decode()
    assert fingerprint(order(image_url=uri), {**UPLOADS, uri: SHA}.get) == of(order())


@pytest.mark.parametrize("uri", ["data:image/png;base64,***", "data:image/png;base64", "data:,x%20y"])
def test_fingerprint_of_a_broken_data_uri_exists(uri: str) -> None:
    assert of(order(image_url=uri)) != of(order())


def test_fingerprint_at_another_service_is_that_of_an_order_there() -> None:
    elsewhere = order(Connection("fal", "https://queue.fal.run", "key"))
    assert fingerprint(order(), UPLOADS.get, service="fal https://queue.fal.run") == of(elsewhere) != of(order())
