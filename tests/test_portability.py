"""What macOS and Windows do differently, as far as Linux can simulate it."""

from __future__ import annotations

import multiprocessing
import os
import sys
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from nodes.core.process_lock import ProcessLock
from nodes.media.decode import cgroup, memory
from nodes.media.decode.decode import DecodeOptions, decode
from tests.fixtures import House, service
from tests.media_files import write_clip
from tests.service import Service
from tests.systems import use_the_pack

__all__ = ["service"]


def folder_with_two_names(parent: Path, name: str, other_name: str) -> tuple[Path, Path]:
    """Create a folder that has both names, as on file systems that ignore case, or how é is composed."""
    (parent / name).mkdir()
    if not (parent / other_name).exists():
        if sys.platform == "win32":
            pytest.skip("NTFS tells the two compositions apart, and symbolic links need a right")
        (parent / other_name).symlink_to(parent / name, target_is_directory=True)
    return parent / name, parent / other_name


@pytest.mark.parametrize(
    ("name", "other_name"),
    [
        ("ComfyUI (x86) & Co", "comfyui (X86) & CO"),
        (unicodedata.normalize("NFC", "Jürgen Łukasz é 山田"), unicodedata.normalize("NFD", "Jürgen Łukasz é 山田")),
    ],
    ids=["case", "composition"],
)
def test_task_is_found_in_a_folder_that_is_named_differently_the_next_time(
    name: str, other_name: str, tmp_path: Path, service: Service
) -> None:
    first, second = (House(folder, service) for folder in folder_with_two_names(tmp_path, name, other_name))
    try:
        (made,) = first.run()
        first.close()
        (found,) = second.run()
        assert found.info["task_id"] == made.info["task_id"]
        assert found.path.read_bytes() == made.path.read_bytes()
        assert len(service.posts()) == 1 and len(second.videos) == 1
    finally:
        first.close()
        second.close()


def test_decode_works_without_proc_cgroups_and_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr(cgroup.free_in_cgroup, "__defaults__", (nowhere, nowhere))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert memory.available_bytes()
    assert len(decode(write_clip(tmp_path / "clip.mp4", frames=12), DecodeOptions()).images) == 12


def test_pack_works_in_a_spawned_process(tmp_path: Path) -> None:
    """macOS and Windows start processes of multiprocessing anew, and another pack may do so."""
    here = ProcessLock(tmp_path / "locks")
    here.acquire()
    path = write_clip(tmp_path / "clip.mp4", frames=12)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(use_the_pack, here.directory, here.token, path).result(timeout=120) == (True, 12)
    here.remove_stale()
    assert [left.stem for left in here.directory.iterdir()] == [here.token]
    here.release()
