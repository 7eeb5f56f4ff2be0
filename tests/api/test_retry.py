"""The retry policy, as tables."""

from __future__ import annotations

import pytest

from nodes.api.retry import (
    Delivery,
    judge,
    pause_before_next_post,
    worth_asking_again,
)
from nodes.core.backoff import LONGEST_RETRY_AFTER, Backoff
from nodes.core.errors import (
    AuthenticationError,
    BalanceError,
    ContentError,
    MediaRefusedError,
    ModelNotFoundError,
    NotDeliveredError,
    OutcomeUnknownError,
    RateLimitError,
    RequestError,
    ServerError,
    ServiceError,
    TaskNotFoundError,
)

NOT_DELIVERED, RATE_LIMITED = Delivery.NOT_DELIVERED, Delivery.RATE_LIMITED
REFUSED, UNKNOWN = Delivery.REFUSED, Delivery.UNKNOWN


@pytest.mark.parametrize(
    ("error", "delivery"),
    [
        (NotDeliveredError("refused connection"), NOT_DELIVERED),
        (RateLimitError("", status=429), RATE_LIMITED),
        (RateLimitError("", status=403), RATE_LIMITED),
        (ServiceError("", status=429), RATE_LIMITED),
        (ServiceError("", status=400), REFUSED),
        (AuthenticationError("", status=401), REFUSED),
        (AuthenticationError("no key is set"), REFUSED),
        (AuthenticationError("", status=403), REFUSED),
        (BalanceError("", status=400), REFUSED),
        (ContentError("", status=400), REFUSED),
        (MediaRefusedError("", status=400), REFUSED),
        (ModelNotFoundError("", status=404), REFUSED),
        (ServiceError("", status=413), REFUSED),
        (RequestError("the key has spaces"), REFUSED),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), REFUSED),
        (OutcomeUnknownError("read timeout"), UNKNOWN),
        (ServerError("", status=500), UNKNOWN),
        (ServerError("", status=503), UNKNOWN),
        (RateLimitError("", status=503), UNKNOWN),
        (BalanceError("", status=500), UNKNOWN),
        (ServiceError("", status=200), UNKNOWN),
        (ServiceError("", status=302), UNKNOWN),
        (ServiceError("", status=408), UNKNOWN),
        (RateLimitError("", status=408), UNKNOWN),
        (ServiceError("", status=409), UNKNOWN),
        (ServiceError("", status=499), UNKNOWN),
        (ServiceError("no status at all"), UNKNOWN),
        (ValueError("a mistake in this pack"), UNKNOWN),
        (OSError("connection reset"), UNKNOWN),
        (TimeoutError(), UNKNOWN),
        (KeyboardInterrupt(), UNKNOWN),
    ],
)
def test_judge_classifies_what_may_have_become_of_a_paid_call(error: BaseException, delivery: Delivery) -> None:
    assert judge(error) is delivery


SHORT = Backoff(first_seconds=1, longest_seconds=8, budget_seconds=20)


@pytest.mark.parametrize(
    ("delivery", "attempt", "elapsed", "retry_after", "roll", "pause"),
    [
        (NOT_DELIVERED, 1, 0, None, 0.5, 0.5),
        (NOT_DELIVERED, 2, 0, None, 0.5, 1.0),
        (NOT_DELIVERED, 3, 0, None, 1.0, 4.0),
        (NOT_DELIVERED, 9, 0, None, 1.0, 8.0),
        (NOT_DELIVERED, 10_000, 0, None, 1.0, 8.0),
        (NOT_DELIVERED, 3, 16.0, None, 1.0, 4.0),
        (NOT_DELIVERED, 3, 16.1, None, 1.0, None),
        (NOT_DELIVERED, 1, 21, None, 0.0, None),
        (RATE_LIMITED, 1, 0, 7.0, 0.0, 7.0),
        (RATE_LIMITED, 1, 0, 7.0, 0.5, 7.5),
        (RATE_LIMITED, 1, 0, 0.0, 0.0, 0.0),
        (RATE_LIMITED, 1, 0, -3.0, 0.0, 0.0),
        (RATE_LIMITED, 2, 0, None, 0.5, 1.0),
        (RATE_LIMITED, 2, 0, None, 0.0, 0.2),
        (RATE_LIMITED, 1, 14, 7.0, 0.0, None),
        (RATE_LIMITED, 1, 0, 86_400.0, 0.0, None),
        (REFUSED, 1, 0, None, 0.0, None),
        (REFUSED, 1, 0, 1.0, 0.0, None),
        (UNKNOWN, 1, 0, None, 0.0, None),
        (UNKNOWN, 1, 0, 1.0, 0.0, None),
    ],
)
def test_pause_before_next_post(
    delivery: Delivery, attempt: int, elapsed: float, retry_after: float | None, roll: float, pause: float | None
) -> None:
    found = pause_before_next_post(
        delivery,
        attempt=attempt,
        elapsed=elapsed,
        retry_after=retry_after,
        roll=roll,
        not_delivered=SHORT,
        rate_limit=SHORT,
    )
    assert found == pytest.approx(pause)


def test_pause_before_next_post_cuts_a_long_retry_after() -> None:
    pause = pause_before_next_post(RATE_LIMITED, attempt=1, elapsed=0, retry_after=86_400, roll=0)
    assert pause == LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NotDeliveredError(""), True),
        (RateLimitError("", status=429), True),
        (ServerError("", status=500), True),
        (ServerError("no JSON", status=200), True),
        (ServiceError("", status=408), True),
        (ServiceError("", status=400), False),
        (AuthenticationError("", status=403), False),
        (TaskNotFoundError("", status=404), False),
        (ValueError(), False),
    ],
)
def test_worth_asking_again_after_trouble_only(error: Exception, again: bool) -> None:
    assert worth_asking_again(error) is again
