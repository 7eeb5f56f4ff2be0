"""Which errors get the advice on storages."""

from __future__ import annotations

import pytest

from nodes.comfy.inline_advice import advised
from nodes.core import errors

FETCH = "InvalidParameter.DataInspection: Unable to download the media resource"


@pytest.mark.parametrize(
    ("error", "gets_it"),
    [
        (errors.MediaRefusedError("INVALID_IMAGE_FORMAT", status=400), True),
        (errors.ServiceError("INVALID_REQUEST_BODY", status=400), True),
        (errors.ServiceError("body too long", status=413), True),
        (errors.TaskFailedError(FETCH, task_id="t", reason=FETCH), True),
        (errors.Wan27Error(f"2 of 3 tasks gave no video\nt: {FETCH}"), True),
        (errors.TaskFailedError("DataInspectionFailed", task_id="t"), False),
        (errors.ServiceError("?", status=409), False),
        (errors.AuthenticationError("INVALID_API_KEY", status=400), False),
        (errors.BalanceError("BILLING_BALANCE_NOT_ENOUGH", status=400), False),
        (errors.ContentError("ILLEGAL_IMAGE_CONTENT", status=400), False),
        (errors.BudgetError("10 USD"), False),
        (errors.OutcomeUnknownError("lost"), False),
    ],
)
def test_advice(error: errors.Wan27Error, gets_it: bool) -> None:
    said = str(error)
    for inline in (False, True):
        with pytest.raises(type(error)) as caught, advised(inline):
            raise error
        assert caught.value is error
        assert str(error).startswith(said)
        assert ("kind = " in str(error)) == (inline and gets_it)
        assert ("README" in str(error)) == (inline and gets_it)
