"""Task ids and states."""

from __future__ import annotations

import pytest

from nodes.api.task import TaskState, check_task_id
from nodes.core.errors import RequestError


@pytest.mark.parametrize("task_id", ["a", "8f7d2c1e-1b2a-4c3d", "task_01.HZ:9", "A" * 128, "  padded-by-a-paste \n"])
def test_check_task_id_accepts_ids_of_services(task_id: str) -> None:
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
def test_check_task_id_refuses_and_shows_what_is_not_an_id(task_id: object) -> None:
    with pytest.raises(RequestError) as caught:
        check_task_id(task_id)
    shown = repr(str(task_id).strip())[1:40]
    assert "task_id" in str(caught.value)
    assert shown == "'" or shown.rstrip("'") in str(caught.value)


def test_task_state_has_two_final_states() -> None:
    assert {state for state in TaskState if state.ended} == {TaskState.SUCCEEDED, TaskState.FAILED}
