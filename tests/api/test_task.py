"""Task ids and states."""

from __future__ import annotations

import pytest

from nodes.api.task import TaskState, check_task_id
from nodes.core.errors import RequestError


@pytest.mark.parametrize("task_id", ["a", "8f7d2c1e-1b2a-4c3d", "task_01.HZ:9", "A" * 128, "  padded-by-a-paste \n"])
def test_ids_that_services_give(task_id: str) -> None:
    assert check_task_id(task_id) == task_id.strip()


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "   ",
        "two words",
        "a/b",
        "../up",
        "a..b",
        "-dash",
        ".dot",
        "a\\b",
        "a?b=c",
        "a#b",
        "a\x00b",
        "é",
        "A" * 129,
        None,
        7,
    ],
)
def test_what_is_no_id_is_refused_and_shown(task_id: object) -> None:
    with pytest.raises(RequestError) as caught:
        check_task_id(task_id)
    shown = repr(str(task_id).strip())[1:40]
    assert "task_id" in str(caught.value)
    assert shown == "'" or shown.rstrip("'") in str(caught.value)


def test_only_two_states_are_final() -> None:
    assert {state for state in TaskState if state.ended} == {TaskState.SUCCEEDED, TaskState.FAILED}
