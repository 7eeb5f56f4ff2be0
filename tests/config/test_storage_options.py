"""The sources of a storage's values, and how messages name a setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nodes.config import load_settings
from nodes.config.storage_options import SCALARS, TABLES, Options


def options(tmp_path: Path, kind: str, text: str = "", **environ: str) -> dict[str, Any]:
    (tmp_path / "config.toml").write_text(text)
    return dict(load_settings(tmp_path, environ).storage.options[kind])


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, keys in SCALARS.items() for key in keys])
def test_options_all_have_a_variable_that_wins(kind: str, key: str, tmp_path: Path) -> None:
    text = f'[storage.{kind}]\n{key} = "from the file"\n'
    assert options(tmp_path, kind, text)[key] == "from the file"
    variable = f"WAN27_STORAGE_{kind}_{key}".upper()
    assert variable in Options(kind, {}).label(key)
    assert options(tmp_path, kind, text, **{variable: "from outside"})[key] == "from outside"
    assert options(tmp_path, kind, **{variable: "from outside"})[key] == "from outside"


def test_options_tables_come_from_the_file(tmp_path: Path) -> None:
    text = '[storage.http]\nheaders = { a = "b" }\n[storage.http.form]\nc = "d"\n'
    found = options(tmp_path, "http", text)
    assert (found["headers"], found["form"]) == ({"a": "b"}, {"c": "d"})
    assert TABLES == {"http": ("headers", "form", "rewrite")}


def test_options_misspelt_key_gives_a_warning(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[storage.s3]\nbuckett = "x"\n[storage.http]\nheaders = { buckett = "x" }\n[storage.ftp]\nhost = "x"'
    )
    first, second = load_settings(tmp_path, {}).warnings
    assert "storage.s3.buckett is not a setting. Did you mean storage.s3.bucket?" in first
    assert "storage.ftp.host" in second


AWS = {"AWS_ACCESS_KEY_ID": "aws-id", "AWS_SECRET_ACCESS_KEY": "aws-secret", "AWS_SESSION_TOKEN": "aws-token"}


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", AWS, {"access_key_id": "aws-id", "secret_access_key": "aws-secret", "session_token": "aws-token"}),
        # A key of one account is never combined with the secret or the token of another.
        ('access_key_id = "mine"\nsecret_access_key = "s"', AWS, {"access_key_id": "mine", "secret_access_key": "s"}),
        ('access_key_id = "mine"', AWS, {"access_key_id": "mine"}),
        ("", {"WAN27_STORAGE_S3_SECRET_ACCESS_KEY": "s", **AWS}, {"secret_access_key": "s"}),
        ("", {"AWS_REGION": "r1", "AWS_DEFAULT_REGION": "r2"}, {"region": "r1"}),
        ("", {"AWS_DEFAULT_REGION": "r2"}, {"region": "r2"}),
        ('region = "mine"', {"AWS_REGION": "r1"}, {"region": "mine"}),
        ("", {"AWS_ENDPOINT_URL": "https://a", "AWS_ENDPOINT_URL_S3": "https://b"}, {"endpoint": "https://b"}),
        ('endpoint = "https://c"', {"AWS_ENDPOINT_URL": "https://a"}, {"endpoint": "https://c"}),
    ],
)
def test_options_of_s3_fall_back_to_the_aws_variables(
    text: str, environ: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    assert options(tmp_path, "s3", f"[storage.s3]\n{text}", **environ) == expected


def test_options_values_are_in_no_repr(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[storage.s3]\nsecret_access_key = "very-SECRET"\n')
    assert "very-SECRET" not in repr(load_settings(tmp_path, AWS)) and "aws-secret" not in repr(
        load_settings(tmp_path, AWS)
    )
