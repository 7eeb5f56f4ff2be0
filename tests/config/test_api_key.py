from __future__ import annotations

import pytest

from nodes.config.api_key import check_key
from nodes.core.errors import SettingsError

KEY = "sk-0123456789abcdef"


def test_check_key_drops_white_space_around_it() -> None:
    assert check_key(f"  {KEY}\n") == KEY


@pytest.mark.parametrize(
    "key",
    ["", "short", "sk-with a space", "sk-with\nbreak-0123", "sk-schlüssel-0123", "x" * 513, None, [KEY]],
    ids=["empty", "short", "space", "line break", "not ASCII", "long", "nothing", "list"],
)
def test_check_key_refuses_what_is_not_a_key_without_repeating_it(key: object) -> None:
    with pytest.raises(SettingsError) as error:
        check_key(key)

    assert not key or str(key) not in str(error.value)
