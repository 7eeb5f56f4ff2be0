"""The storage for settings from the file and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodes.api.connection import Connection
from nodes.config import load_settings
from nodes.core.errors import StorageError
from nodes.storage import Storage, make_storage

S3 = {
    "WAN27_STORAGE_S3_BUCKET": "my-bucket",
    "WAN27_STORAGE_S3_ACCESS_KEY_ID": "AKID",
    "WAN27_STORAGE_S3_SECRET_ACCESS_KEY": "s",
}


NOVITA = Connection("novita", "https://api.novita.ai", "key")
SANDBOX = Connection("sandbox", "http://127.0.0.1:1", "sandbox")


def make(tmp_path: Path, text: str = "", connection: Connection = NOVITA, **environ: str) -> Storage:
    (tmp_path / "config.toml").write_text(text)
    settings = load_settings(tmp_path, environ)
    assert settings.warnings == ()
    wanted = settings.storage
    return make_storage(wanted.kind, wanted.options, connection=connection, directory=tmp_path)


@pytest.mark.parametrize(
    ("text", "environ", "name"),
    [
        ("", {}, "inline"),
        ('[storage]\nkind = "inline"', {}, "inline"),
        ('[storage]\nkind = "http"\n[storage.http]\npreset = "uguu"', {}, "http uguu.se"),
        ("", {"WAN27_STORAGE_KIND": "http", "WAN27_STORAGE_HTTP_PRESET": "litterbox"}, "http litterbox.catbox.moe"),
        (
            '[storage]\nkind = "comfyui"\n[storage.comfyui]\npublic_url = "https://pod.example"\nexpires_hours = 2',
            {},
            "comfyui https://pod.example",
        ),
        ("", {"WAN27_STORAGE_KIND": "s3", **S3}, "s3 aws us-east-1 my-bucket/wan27/"),
        ("", {"WAN27_STORAGE_KIND": "s3", **S3, "AWS_REGION": "eu-west-3"}, "s3 aws eu-west-3 my-bucket/wan27/"),
        (
            '[storage]\nkind = "s3"\n[storage.s3]\nbucket = "b-1"\nendpoint = "https://s3.example"\nprefix = "x"',
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "WAN27_STORAGE_S3_PREFIX": "y/"},
            "s3 https://s3.example b-1/y/",
        ),
    ],
)
def test_make_storage_returns_the_kind_set(text: str, environ: dict[str, str], name: str, tmp_path: Path) -> None:
    assert make(tmp_path, text, **environ).name.startswith(name)


def test_make_storage_with_the_sandbox_stores_there(tmp_path: Path) -> None:
    storage = make(tmp_path, '[storage]\nkind = "s3"', SANDBOX)
    assert storage.name == "sandbox http://127.0.0.1:1"


def test_make_storage_names_the_setting_that_is_missing(tmp_path: Path) -> None:
    for kind, said in (("s3", "bucket"), ("http", "url"), ("comfyui", "public_url"), ("sandbox", "cannot fetch")):
        with pytest.raises(StorageError, match=said):
            make(tmp_path, f'[storage]\nkind = "{kind}"')


def test_make_storage_names_a_public_host_in_its_notice(tmp_path: Path) -> None:
    text = '[storage]\nkind = "http"\n[storage.http]\npreset = "tmpfiles"\nexpires_hours = 5'
    notice = make(tmp_path, text).privacy_notice
    assert "tmpfiles.org" in notice and "anyone who has the link" in notice


def test_storage_names_differ_between_places(tmp_path: Path) -> None:
    """A file that was stored in one place must not be looked up in another."""
    form = '[storage]\nkind = "http"\n[storage.http]\nurl = "https://h/{0}"\nmethod = "POST"\nresponse = "{1}"'
    texts = [form.replace("{0}", a).replace("{1}", b) for a in ("x", "y") for b in ("text", "json:url")]
    texts += [f'[storage]\nkind = "comfyui"\n[storage.comfyui]\npublic_url = "https://{host}"' for host in ("a", "b")]
    names = [make(tmp_path, text).name for text in texts]
    assert len(set(names)) == len(names)
    assert make(tmp_path, texts[0]).name == names[0]
