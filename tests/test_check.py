"""The check command: every failure names the setting to change, and no secret is printed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from nodes.check import Report, find_user_dir, run_check
from nodes.config import Budget, load_settings
from nodes.core import addresses
from nodes.core.errors import NotDeliveredError, SettingsError
from nodes.core.hosts import HOSTS
from nodes.ledger import Ledger
from nodes.runner.runner import Runner
from nodes.services import connection_to
from tests.hosts.fixtures import STAND_INS
from tests.storage.servers import Host, running

REPO = Path(__file__).resolve().parents[1]
KEY = "sk-SECRET-0123456789"
BALANCE = {"availableBalance": "123400", "cashBalance": "0", "creditLimit": "0", "outstandingInvoices": "0"}


def answering(status: int = 200, body: object = BALANCE) -> Callable[[web.Request], web.Response]:
    return lambda request: web.json_response(body, status=status)


@asynccontextmanager
async def service(balance: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    """Run the service's balance call as documented."""

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"code": 403, "reason": "INVALID_API_KEY", "message": "no"}, status=403)
        return balance(request)

    app = web.Application()
    app.router.add_get("/openapi/v1/billing/balance/detail", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def check(
    tmp_path: Path,
    storage: Callable[[str], str] = lambda url: "",
    *,
    balance: Callable[[web.Request], web.Response] = answering(),  # noqa: B008
    host: Host | None = None,
    key: str = KEY,
) -> Report:
    async def work() -> Report:
        async with service(balance) as url, running(host or Host()) as files:
            novita = f'connection = "novita"\n[novita]\napi_key = "{key}"\nbase_url = "{url}"\n'
            (tmp_path / "config.toml").write_text(novita + storage(files.url))
            return await run_check(load_settings(tmp_path, {}))

    report = asyncio.run(work())
    assert KEY not in str(report) + repr(report)
    assert [finding.what for finding in report.findings] == ["key", "storage", "price"]
    assert all(finding.setting for finding in report.findings if not finding.ok)
    return report


def put_and_get(url: str) -> str:
    return (
        f'[storage]\nkind = "http"\n[storage.http]\nurl = "{url}/f/{{name}}"\npublic_url = "{url}/f/{{name}}"\n'
        'headers = { X-Key = "up-SECRET-1" }\n'
    )


def test_check_of_a_working_setup(tmp_path: Path) -> None:
    host = Host()
    report = check(tmp_path, put_and_get, host=host)
    key, storage, price = report.findings
    assert report.ok
    assert "$12.34 available" in key.text
    assert "byte for byte" in storage.text
    assert "$0.10 (720P), $0.15 (1080P)" in price.text
    assert host.seen[0].body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("balance", "text", "setting"),
    [
        (answering(401, {"reason": "INVALID_API_KEY", "message": "bad key"}), "", "api_key under [novita]"),
        (answering(200, {**BALANCE, "availableBalance": "0"}), "$0.00 available", "Top up"),
        (answering(500, {"reason": "BILLING_FAILED"}), "", "base_url under [novita]"),
        (lambda request: web.Response(text="<html>portal</html>"), "JSON", "base_url under [novita]"),
    ],
)
def test_check_key_names_what_is_wrong(
    balance: Callable[[web.Request], web.Response], text: str, setting: str, tmp_path: Path
) -> None:
    finding = check(tmp_path, balance=balance).findings[0]
    assert not finding.ok and text in finding.text and setting in finding.setting


@pytest.mark.parametrize("name", list(STAND_INS))
def test_check_key_of_every_host(name: str, tmp_path: Path) -> None:
    host = HOSTS[name]
    with STAND_INS[name]() as stand_in:
        good = asyncio.run(run_check(load_settings(tmp_path, stand_in.environment()))).findings[0]
        wrong = {**stand_in.environment(), host.key_variable: "sk-another-0123456789"}
        bad = asyncio.run(run_check(load_settings(tmp_path, wrong))).findings[0]
        assert stand_in.at("submit") == []
    assert good.ok and f"The key for {host.title} is valid." in good.text
    assert not bad.ok and host.setting("api_key") in bad.setting and "sk-another" not in bad.text


def test_check_key_that_is_wrong(tmp_path: Path) -> None:
    finding = check(tmp_path, key="sk-another").findings[0]
    assert not finding.ok and "NOVITA_API_KEY" in finding.setting and "sk-another" not in finding.text


def test_check_key_with_an_unreachable_service(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"NOVITA_API_KEY": KEY, "WAN27_NOVITA_BASE_URL": "http://127.0.0.1:9"})
    finding = asyncio.run(run_check(settings)).findings[0]
    assert not finding.ok and "network" in finding.setting


def test_check_key_asks_the_proxy_that_real_requests_go_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """httpx does not read the exceptions in the proxy settings of Windows and macOS, so the check must not either."""
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async def work() -> None:
        proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        monkeypatch.setattr(addresses, "proxy_bypass", lambda host: True)
        settings = load_settings(tmp_path, {"NOVITA_API_KEY": KEY, "WAN27_NOVITA_BASE_URL": "https://gateway.test"})
        finding = (await run_check(settings)).findings[0]
        by_check = asked.copy()
        runner = Runner(
            ledger=Ledger(tmp_path / "ledger.sqlite3"), output_dir=tmp_path, polling=settings.polling, budget=Budget()
        )
        with pytest.raises(NotDeliveredError):
            await runner.balance(connection_to(settings.current))
        runner.close()
        proxy.close()
        assert not finding.ok
        assert by_check and set(by_check) == set(asked[len(by_check) :]) == {b"CONNECT gateway.test:443 HTTP/1.1\r\n"}

    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    asyncio.run(work())


def test_check_does_not_use_a_system_proxy_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpx takes the proxy of Windows and macOS, but not its exceptions."""
    for name in ("all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nothing listens there
    key, storage, _ = check(tmp_path, put_and_get).findings
    assert key.ok, key.text
    assert storage.ok, storage.text


def elsewhere(url: str) -> str:
    return put_and_get(url).replace("public_url = ", 'public_url = "http://127.0.0.1:9/{name}"\n#')


@pytest.mark.parametrize(
    ("storage", "host", "text", "setting"),
    [
        (put_and_get, Host(web.Response(status=403)), "answered 403", "[storage.http]"),
        (elsewhere, Host(), "cannot be reached from here", "public_url"),
        (lambda url: put_and_get(url).replace("/f/{name}", "/g/{name}", 1), Host(), "answers 404", "public_url"),
        (lambda url: '[storage]\nkind = "s3"\n', Host(), "bucket under [storage.s3]", "[storage.s3]"),
        (lambda url: '[storage]\nkind = "sandbox"\n', Host(), "The sandbox refused the file", "kind under [storage]"),
    ],
)
def test_check_storage_names_what_is_wrong(
    storage: Callable[[str], str], host: Host, text: str, setting: str, tmp_path: Path
) -> None:
    report = check(tmp_path, storage, host=host)
    finding = report.findings[1]
    assert not finding.ok and text in finding.text and setting in finding.setting
    assert "SECRET" not in str(report)


@pytest.mark.parametrize("mime", ["image/png", "text/html"])
def test_check_storage_that_returns_other_bytes(mime: str, tmp_path: Path) -> None:
    """Some hosts compress images, or show a page about the file."""

    class Changing(Host):
        async def handle(self, request: web.Request) -> web.StreamResponse:
            answer = await super().handle(request)
            return web.Response(body=b"another", content_type=mime) if request.method == "GET" else answer

    finding = check(tmp_path, put_and_get, host=Changing()).findings[1]
    assert not finding.ok and "other bytes (7 instead of" in finding.text
    assert ("web page" in finding.text) == (mime == "text/html")


def test_check_storage_refuses_a_private_address_for_the_real_service(tmp_path: Path) -> None:
    async def work() -> Report:
        async with running(Host()) as files:
            (tmp_path / "config.toml").write_text(put_and_get(files.url))
            settings = load_settings(
                tmp_path, {"NOVITA_API_KEY": KEY, "WAN27_NOVITA_BASE_URL": "https://service.invalid"}
            )
            return await run_check(settings)

    finding = asyncio.run(work()).findings[1]
    assert not finding.ok and "your own network" in finding.text


def test_check_without_a_storage(tmp_path: Path) -> None:
    finding = check(tmp_path).findings[1]
    assert finding.ok and "audio and video cannot" in finding.text and "[storage]" in finding.setting


def test_check_without_a_key_reports_the_sandbox(tmp_path: Path) -> None:
    report = asyncio.run(run_check(load_settings(tmp_path, {})))
    assert report.ok and "sandbox" in report.findings[0].text and "NOVITA_API_KEY" in report.findings[0].setting


@pytest.mark.parametrize("key", ["", "with a key"])
def test_check_in_the_sandbox_contacts_no_host_and_says_what_needs_a_storage(key: str, tmp_path: Path) -> None:
    with STAND_INS["fal"]() as stand_in:
        variables = {**stand_in.environment(), "WAN27_CONNECTION": "sandbox"} if key else {}
        report = asyncio.run(run_check(load_settings(tmp_path, variables)))
        assert not stand_in.seen
    assert report.ok
    assert report.findings[1].text == (
        "The sandbox takes images, audio and clips. With a key of dashscope, fal, replicate or kie they go to the host "
        "itself; Novita AI and PPIO need a storage for audio and clips."
    )


@pytest.mark.parametrize("kind", ["inline", "sandbox"])
def test_check_in_the_sandbox_accepts_a_kind_that_has_nothing_to_test(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[storage]\nkind = "{kind}"\n', encoding="utf-8")
    finding = asyncio.run(run_check(load_settings(tmp_path, {}))).findings[1]
    assert finding.ok and finding.text == "The sandbox takes images, audio and clips."
    assert f'"{kind}" ' in finding.setting


def run_command(
    folder: Path, *arguments: str, start: Sequence[str] = ("-m", "nodes.check"), **environ: str
) -> subprocess.CompletedProcess[str]:
    ours = {host.key_variable for host in HOSTS.values()}
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("WAN27_", "AWS_"))
    }
    return subprocess.run(
        [sys.executable, *start, *arguments],
        cwd=folder,
        env={**env, "PWD": str(folder), **environ},
        capture_output=True,
        encoding=environ.get("PYTHONIOENCODING"),
        text=True,
        check=False,
    )


PORTABLE = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""What ComfyUI's portable Python does to a file: -I is as its ._pth file, which puts ComfyUI's folder first."""


@pytest.mark.parametrize("by", ["path", "portable"])
def test_command_runs_by_its_path(by: str, tmp_path: Path) -> None:
    (tmp_path / "nodes.py").write_text("raise AssertionError('this is ComfyUI')")
    (tmp_path / "config.toml").write_text("[novita]\nprice_per_second = { 720P = 0.42 }\n")
    script = str(REPO / "nodes" / "check.py")
    start = [script] if by == "path" else ["-I", "-c", PORTABLE, str(tmp_path), script]
    done = run_command(tmp_path, str(tmp_path), start=start)
    assert done.returncode == 0, done.stderr
    assert "$0.42" in done.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "gbk"])
def test_command_writes_to_a_file_in_any_code_page(encoding: str, tmp_path: Path) -> None:
    """Windows writes to a file or a pipe in a code page, which lacks some letters of a path."""
    folder = tmp_path / "Jürgen Łukasz 山田"
    folder.mkdir()
    (folder / "config.toml").touch()
    done = run_command(REPO, str(folder), PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "-> For real videos" in done.stdout and "config.toml: read" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells a program no path through a symbolic link")
def test_command_runs_in_the_folder_of_a_pack_that_is_a_symlink(tmp_path: Path) -> None:
    """A checkout is installed by a symbolic link."""
    pack = tmp_path / "custom_nodes" / "wan27-video"
    pack.parent.mkdir()
    pack.symlink_to(REPO, target_is_directory=True)
    config = tmp_path / "user" / "__wan27" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[novita]\nprice_per_second = { 720P = 0.42 }\n[storag]\nkind = "s3"\n')
    done = run_command(pack)
    assert done.returncode == 1, done.stderr
    assert str(config) in done.stdout and "storag.kind is not a setting" in done.stdout and "$0.42" in done.stdout
    assert done.stderr == ""
    config.write_text("[novita]\nprice_per_second = { 720P = 0.42 }\n")
    assert run_command(pack).returncode == 0


def test_command_names_the_command_that_installs_a_missing_package(tmp_path: Path) -> None:
    without = "import runpy, sys; sys.modules['httpx'] = None; runpy.run_module('nodes.check', run_name='__main__')"
    done = run_command(REPO, start=["-c", without])
    assert done.returncode == 1 and done.stderr == ""
    command = f"{sys.executable} -s -m pip install -r {REPO / 'requirements.txt'}"
    assert done.stdout == (f"FAIL  packages  httpx is not installed. Run this command and restart ComfyUI: {command}\n")


def test_command_reports_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("connection =")
    done = run_command(REPO, str(tmp_path))
    assert done.returncode == 1 and "not valid TOML" in done.stdout


@pytest.mark.parametrize("named", ["", "user", "user/__wan27"])
def test_find_user_dir_accepts_each_folder(named: str, tmp_path: Path) -> None:
    (tmp_path / "user" / "__wan27").mkdir(parents=True)
    (tmp_path / "user" / "__wan27" / "config.toml").touch()
    assert find_user_dir(str(tmp_path / named), []) == tmp_path / "user" / "__wan27"


def test_find_user_dir_outside_of_a_comfyui_asks_for_the_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Name the folder"):
        find_user_dir(None, [tmp_path])
