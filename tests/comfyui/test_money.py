"""A task that was submitted is never lost and never paid for twice, whatever fails, in a real ComfyUI.

Every count of POSTs comes from the service.
"""

from __future__ import annotations

import hashlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.comfyui.graphs import SECONDS, SMALL, Pair, pair, upload_image
from tests.conftest import Measured
from tests.crash_points import IN_DOUBT, POINTS
from tests.demo import play
from tests.examples import workflows
from tests.host.comfy import ComfyUI, Graph, Run
from tests.host.fixtures import HELPERS, connected
from tests.media_files import photo, png
from tests.service import Service

MONEY_NODES = Path(__file__).with_name("money_nodes")


@pytest.fixture(scope="module")
def shop_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("money-service"), fps=2, task_seconds=0.3) as made:
        yield made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, shop_service: Service) -> Iterator[ComfyUI]:
    """A ComfyUI that may be killed, not the one that other tests share."""
    base = tmp_path_factory.mktemp("money")
    with ComfyUI(base, env=connected(shop_service), custom_nodes=[HELPERS, MONEY_NODES]) as comfy:
        yield comfy


@pytest.fixture
def bank(shop_service: Service, shop: ComfyUI) -> Iterator[Service]:
    """The service, with an empty log and no faults."""
    shop_service.reset()
    for name in ("kill-at", "fail-now", "fail-never"):
        (shop.base / name).unlink(missing_ok=True)
    yield shop_service
    shop_service.reset()


def graph_of(comfy: ComfyUI, seed: int, **inputs: Any) -> tuple[Graph, Pair]:
    graph = Graph()
    image = upload_image(graph, comfy.upload("money.png", png(photo(320, 320, seed=1))))
    prompt = graph.add("TestKillAt", prompt="a walk")
    return graph, pair(graph, image_url=(image, 0), prompt=(prompt, 0), seed=seed, **SMALL, **inputs)


def served(service: Service, task_id: str) -> str:
    """Return the hash of the service's video of a task."""
    url = service.task(task_id)["videos"][0]["video_url"]
    return hashlib.sha256(httpx.get(url, timeout=30, trust_env=False).content).hexdigest()


def info_of(run: Run, made: Pair) -> Path:
    [file] = run.files(made.wait)
    return file


def check_collected(run: Run, made: Pair, service: Service) -> None:
    """Check that one POST was sent and accepted, and that the run has its complete video."""
    [task_id] = service.accepted()
    assert hashlib.sha256(info_of(run, made).read_bytes()).hexdigest() == served(service, task_id)
    assert len(service.posts()) == 1


def until(condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


def error_of(run: Run) -> str:
    assert run.error is not None, "the run was expected to fail"
    return run.error.message


def cancel(comfy: ComfyUI, prompt_id: str) -> None:
    """Cancel one prompt as the frontend does: newer ones by its job, older ones by the queue or an interrupt."""
    if comfy.request("GET", "/api/jobs").status_code == 200:
        assert comfy.request("POST", f"/api/jobs/{prompt_id}/cancel").json() == {"cancelled": True}
    else:
        comfy.request("POST", "/queue", json={"delete": [prompt_id]})


def test_lost_answer_is_sent_again_only_by_submit_again(shop: ComfyUI, bank: Service) -> None:
    bank.faults({"at": "submit", "kind": "lost_answer"})
    graph, made = graph_of(shop, seed=101)
    for _ in range(4):
        text = error_of(shop.run(graph))
        assert "may have been accepted and billed" in text
        assert "submit_again" in text
        assert len(bank.posts()) == 1
    again, _ = graph_of(shop, seed=101, on_repeat="submit_again")
    assert len(shop.run(again).files(made.wait)) == 1
    assert len(bank.posts()) == 2
    assert len(shop.run(graph).files(made.wait)) == 1  # reuse finds the one that worked
    assert len(bank.posts()) == 2


def test_server_error_on_the_post_is_in_doubt(shop: ComfyUI, bank: Service) -> None:
    bank.faults({"at": "submit", "kind": "server_error", "made": True})
    graph, _ = graph_of(shop, seed=102)
    for _ in range(2):
        assert "may have been accepted and billed" in error_of(shop.run(graph))
    assert len(bank.posts()) == 1


def test_refused_connection_is_tried_until_one_is_accepted(shop: ComfyUI, bank: Service, measured: Measured) -> None:
    warm, _ = graph_of(shop, seed=1)
    shop.run(warm)  # uploads the image
    bank.reset()
    before = shop.log.count("a request was not accepted")
    bank.stop()
    graph, made = graph_of(shop, seed=2)
    try:
        run = shop.queue(graph)
        until(lambda: shop.log.count("a request was not accepted") >= before + 5, "five refusals")
    finally:
        bank.start()
    check_collected(run.wait(), made, bank)
    refused = shop.log.count("a request was not accepted") - before
    measured(f"connections refused before the POST was accepted: {refused}")


def test_interrupt_while_waiting_leaves_the_task_to_collect(shop: ComfyUI, bank: Service, measured: Measured) -> None:
    bank.finish.clear()
    graph, made = graph_of(shop, seed=103)
    run = shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    began = time.monotonic()
    shop.interrupt()
    run.wait()
    measured(f"interrupt while waiting: the prompt ended after {time.monotonic() - began:.2f} s")
    assert run.interrupted
    [task_id] = bank.accepted()
    text = f"Task {task_id} goes on, and its video is fetched when it is ready: queue again to collect it."
    assert run.texts_of(made.wait)[-1] == text
    assert text in shop.log
    bank.finish.set()
    check_collected(shop.run(graph), made, bank)


def test_interrupt_during_the_post_leaves_the_task_to_collect(shop: ComfyUI, bank: Service) -> None:
    bank.answer.clear()
    graph, made = graph_of(shop, seed=108)
    run = shop.queue(graph)
    until(bank.posts, "the POST")
    shop.interrupt()
    assert run.wait().interrupted
    assert "If the request was sent by now, it goes on as a task" in run.texts_of(made.submit)[-1]
    assert "it goes on as a task" in shop.log
    bank.answer.set()
    check_collected(shop.run(graph), made, bank)


def test_interrupt_by_prompt_id_stops_only_that_prompt(shop: ComfyUI, bank: Service) -> None:
    bank.finish.clear()
    graph, made = graph_of(shop, seed=120)
    run = shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    shop.request("POST", "/interrupt", json={"prompt_id": "of-another-prompt"})
    bank.finish.set()
    check_collected(run.wait(), made, bank)
    bank.reset()
    bank.finish.clear()
    graph, made = graph_of(shop, seed=121)
    run = shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    shop.request("POST", "/interrupt", json={"prompt_id": run.prompt_id})
    assert run.wait().interrupted
    assert "goes on, and its video is fetched" in run.texts_of(made.wait)[-1]
    bank.finish.set()
    check_collected(shop.run(graph), made, bank)


def test_prompt_deleted_from_the_queue_sends_nothing(shop: ComfyUI, bank: Service) -> None:
    bank.finish.clear()
    graph, made = graph_of(shop, seed=122)
    run = shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    waiting, _ = graph_of(shop, seed=123)
    cancel(shop, shop.queue(waiting).prompt_id)
    bank.finish.set()
    check_collected(run.wait(), made, bank)
    assert shop.get_json("/queue") == {"queue_running": [], "queue_pending": []}


def test_job_cancelled_while_waiting_leaves_the_task_to_collect(shop: ComfyUI, bank: Service) -> None:
    if shop.request("GET", "/api/jobs").status_code != 200:
        pytest.skip("this ComfyUI cannot cancel single jobs")
    bank.finish.clear()
    graph, made = graph_of(shop, seed=124)
    run = shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    cancel(shop, run.prompt_id)
    assert run.wait().interrupted
    assert "goes on, and its video is fetched" in run.texts_of(made.wait)[-1]
    bank.finish.set()
    check_collected(shop.run(graph), made, bank)


def test_page_reload_while_waiting_changes_nothing(shop: ComfyUI, bank: Service) -> None:
    bank.finish.clear()
    graph, made = graph_of(shop, seed=125)
    run = shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    run.close()
    [row] = shop.get_json("/wan27/tasks?group=running")["tasks"]
    assert row["progress"]["state"] in ("queued", "processing")
    assert {"left_seconds", "usual_seconds"} <= row["progress"].keys()
    bank.finish.set()
    until(lambda: run.prompt_id in shop.get_json(f"/history/{run.prompt_id}"), "the end of the prompt")
    check_collected(run, made, bank)


def test_task_id_of_another_cache_is_explained(shop: ComfyUI, bank: Service) -> None:
    graph = Graph()
    cached = graph.add("TestKillAt", prompt="a-task-of-another-machine")
    graph.add("Wan27WaitForVideo", task_id=(cached, 0), timeout_minutes=5.0)
    text = error_of(shop.run(graph))
    assert "It was not submitted from this ComfyUI" in text
    assert "set on_repeat of Wan 2.7 Image to Video to submit_again" in text
    assert bank.posts() == []


def test_sibling_failure_during_the_post_leaves_the_task_to_collect(shop: ComfyUI, bank: Service) -> None:
    bank.faults({"at": "submit", "kind": "slow", "seconds": 3})
    graph, made = graph_of(shop, seed=104)
    graph.add("TestFailLater")
    run = shop.queue(graph)
    until(bank.posts, "the POST")
    (shop.base / "fail-now").touch()
    assert "the sibling failed" in error_of(run.wait())
    (shop.base / "fail-never").touch()
    check_collected(shop.run(graph), made, bank)


def test_download_survives_ten_cuts(shop: ComfyUI, bank: Service) -> None:
    bank.faults({"at": "download", "kind": "cut", "count": 10})
    graph, made = graph_of(shop, seed=105)
    check_collected(shop.run(graph), made, bank)
    assert not list((shop.output / "wan27").glob("*.incomplete"))


def test_video_is_fetched_while_no_node_waits(shop: ComfyUI, bank: Service) -> None:
    bank.finish.clear()
    graph, made = graph_of(shop, seed=106)
    run = shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    shop.interrupt()
    run.wait()
    before = len(list((shop.output / "wan27").glob("*.mp4")))
    bank.finish.set()
    until(lambda: len(list((shop.output / "wan27").glob("*.mp4"))) > before, "the video")


def test_ctrl_c_while_waiting_leaves_the_task_to_collect(shop: ComfyUI, bank: Service, measured: Measured) -> None:
    bank.finish.clear()
    graph, made = graph_of(shop, seed=107)
    shop.queue(graph).wait_for(lambda run: bool(run.texts_of(made.wait)))
    before = len(list((shop.output / "wan27").glob("*.mp4")))
    began = time.monotonic()
    assert shop.stop() != -signal.SIGKILL  # what stop() does to a ComfyUI that hangs
    measured(f"Ctrl-C while waiting: ComfyUI ended after {time.monotonic() - began:.1f} s")
    shop.start()
    bank.finish.set()
    until(lambda: len(list((shop.output / "wan27").glob("*.mp4"))) > before, "the video, although no node waits")
    check_collected(shop.run(graph), made, bank)


# --- kill -9 ------------------------------------------------------------------------------------------------------


AFTER_THE_UPLOAD = [name for name in POINTS if "upload" not in name]
"""TestKillAt runs beside the upload, perhaps too late for its points."""
DOUBTFUL = IN_DOUBT | {"accepted"}


def kill_at(comfy: ComfyUI, service: Service, moment: str, graph: Graph, made: Pair) -> None:
    """Queue a graph and kill ComfyUI at a moment."""
    if moment in AFTER_THE_UPLOAD:
        (comfy.base / "kill-at").write_text(moment)
        comfy.queue(graph)
        assert comfy.process is not None
        comfy.process.wait(120)
    elif moment.startswith("after "):
        comfy.queue(graph)
        time.sleep(float(moment.split()[1]))  # the moment itself; this does not wait for a condition
    else:
        gate = {"accepted": service.answer, "polling": service.finish, "downloading": service.serve}[moment]
        gate.clear()
        run = comfy.queue(graph)
        if moment == "accepted":
            until(service.posts, "the POST")
        elif moment == "polling":
            run.wait_for(lambda run: bool(run.texts_of(made.wait)))
        else:
            until(lambda: list((comfy.output / "wan27").glob("*.incomplete")), "the download")
    comfy.kill()
    service.open_gates()


def kill_and_collect(comfy: ComfyUI, service: Service, moment: str, seed: int) -> str:
    """Kill ComfyUI at a moment, start it again, queue the same graph, and describe the result."""
    service.reset()
    graph, made = graph_of(comfy, seed)
    kill_at(comfy, service, moment, graph, made)
    comfy.start()
    sent = len(service.posts())
    assert sent <= 1
    run = comfy.run(graph)
    if run.error is not None:
        assert "may have been accepted and billed" in run.error.message
        assert moment in DOUBTFUL or moment.startswith("after ")
        assert len(service.posts()) == sent  # never a second one
        return f"{sent} POST, in doubt"
    assert moment not in DOUBTFUL
    check_collected(run, made, service)
    assert not list((comfy.output / "wan27").glob("*.incomplete"))
    return "1 POST, video intact"


MATTER_MOST = ["polling", "answer not stored", "downloading"]


@pytest.mark.parametrize("moment", MATTER_MOST)
def test_kill_at_the_moments_that_matter_most(moment: str, shop: ComfyUI, bank: Service, measured: Measured) -> None:
    measured(f"kill -9 {moment}: {kill_and_collect(shop, bank, moment, seed=200 + MATTER_MOST.index(moment))}")


def test_storyboard_killed_at_a_shot_goes_on_there(shop: ComfyUI, bank: Service) -> None:
    shop.upload(workflows.IMAGE, png(photo(320, 320, seed=2)))
    prompt = workflows.storyboard().prompt()
    for entry in prompt.values():
        if entry["class_type"] == "Wan27ImageToVideo":
            entry["inputs"] |= {**SMALL, "seed": entry["inputs"]["seed"] + 900}
    waits = [node for node, entry in prompt.items() if entry["class_type"] == "Wan27WaitForVideo"]
    bank.faults({"at": "result", "kind": "processing", "count": None, "prompt": workflows.STORYBOARD[2]})
    shop.queue(prompt).wait_for(lambda run: bool(run.texts_of(waits[2])))
    shop.kill()
    assert len(bank.posts()) == 3
    bank.faults()
    shop.start()

    run = shop.run(prompt)

    assert run.error is None, run.error
    assert len(bank.posts()) == len(bank.accepted()) == 4
    [film] = [run.files(node) for node, entry in prompt.items() if entry["class_type"] == "SaveVideo"]
    played = play(film[0])
    assert played.frames == round(SECONDS * played.fps) * 4 - 3


RANDOM = random.Random(20)
MOMENTS = [
    *AFTER_THE_UPLOAD,
    "accepted",
    "polling",
    "downloading",
    # A run takes a little over a second here: one moment in each seventh of it.
    *(f"after {(part + RANDOM.random()) * 0.2:.2f} s" for part in range(7)),
]


@pytest.mark.soak
@pytest.mark.parametrize("number", range(len(MOMENTS)))
def test_kill_at_every_moment(number: int, shop: ComfyUI, bank: Service, measured: Measured) -> None:
    moment = MOMENTS[number]
    measured(f"kill -9 {moment}: {kill_and_collect(shop, bank, moment, seed=300 + number)}")


# --- a hundred ----------------------------------------------------------------------------------------------------


def a_hundred(count: int, shop: ComfyUI, bank: Service, measured: Measured) -> None:
    counter = {"kind": "data_wrapper", "skip": 10**9}
    bank.faults(
        {"at": "result", **counter},
        {"at": "download", "kind": "unavailable", "skip": 10**9},
        *(
            {"at": "result", "kind": kind, "probability": 0.04, "seed": seed}
            for seed, kind in enumerate(["rate_limit", "server_error", "broken_json", "cut", "unavailable"])
        ),
        *(
            {"at": "download", "kind": kind, "probability": 0.15, "seed": seed}
            for seed, kind in enumerate(["cut", "unavailable", "expired", "wrong_length"])
        ),
    )
    graph = Graph()
    image = upload_image(graph, shop.upload("money.png", png(photo(320, 320, seed=1))))
    prompts = graph.add("TestPrompts", count=count)
    made = pair(graph, image_url=(image, 0), prompt=(prompts, 0), seed=400 + count, **SMALL)
    began = time.monotonic()
    run = shop.run(graph, seconds=1200)
    took = time.monotonic() - began
    files = run.files(made.wait)
    polls, downloads = (10**9 - fault["skip"] for fault in bank.fault_hits()[:2])
    assert len(bank.posts()) == len(set(bank.accepted())) == count
    assert len(set(files)) == count
    hashes = {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    bank.faults()
    assert hashes == {served(bank, task_id) for task_id in bank.accepted()}
    assert len(hashes) == count
    measured(
        f"{count} tasks at once: {count} POSTs, {count} files in {took:.0f} s; per task 1 POST, "
        f"{polls / count:.1f} polls, {downloads / count:.1f} downloads; peak memory of ComfyUI {peak_mb(shop)} MB"
    )


def test_batch_of_twelve_tasks_with_faults(shop: ComfyUI, bank: Service, measured: Measured) -> None:
    a_hundred(12, shop, bank, measured)


@pytest.mark.soak
def test_batch_of_a_hundred_tasks_with_faults(shop: ComfyUI, bank: Service, measured: Measured) -> None:
    a_hundred(100, shop, bank, measured)


def peak_mb(comfy: ComfyUI) -> int:
    """Return the peak memory of the process; 0 if the system does not report it."""
    assert comfy.process is not None
    status = Path(f"/proc/{comfy.process.pid}/status")
    if not status.exists():
        return 0
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024
