"""What holds for all routes under /wan27/."""

from __future__ import annotations

from tests.panel.conftest import KEY, SIGNED, Host


def test_read_routes_leak_no_key_path_or_signed_url(host: Host) -> None:
    (host.user / "config.toml").write_text(f'[novita]\napi_key = "{KEY}"\nbase_url = "http://127.0.0.1:9"\n')
    record_id = host.saved("done")
    failed = host.task("failed")
    host.ledger.fail(failed, f"could not fetch {SIGNED} into {host.output}/wan27/x.mp4", billed=True)

    reading = [path for each in (record_id, failed) for method, path in host.routes(each) if method == "GET"]
    sent = "".join(host.ask("GET", path).text for path in reading)

    assert KEY not in sent
    assert "signature" not in sent
    assert str(host.output) not in sent
    assert str(host.user) not in sent
    assert "https://bucket.example/…" in sent, "the host stays: it helps"
