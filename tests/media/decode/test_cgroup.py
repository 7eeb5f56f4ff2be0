from __future__ import annotations

from pathlib import Path

import pytest

from nodes.media.decode.cgroup import free_in_cgroup

V2 = ("memory.max", "memory.current", "anon 500\ninactive_file 150\nactive_file 50\n")
V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "cache 9\ninactive_file 1\nactive_file 1\ntotal_inactive_file 150\ntotal_active_file 50\n",
)


def group(folder: Path, limit: object, used: int, names: tuple[str, str, str] = V2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(names[2])


def found(tmp_path: Path, membership: str | None) -> int | None:
    file = tmp_path / "self"
    if membership is not None:
        file.write_text(membership)
    return free_in_cgroup(tmp_path / "groups", file)


@pytest.mark.parametrize("membership", ["0::/\n", "0::/docker/of/the/host\n", "0::/../../other\n", None])
def test_free_in_cgroup_finds_the_limit_of_the_container(tmp_path: Path, membership: str | None) -> None:
    group(tmp_path / "groups", 1000, 700)

    assert found(tmp_path, membership) == 500


def test_free_in_cgroup_finds_the_limit_of_a_unit_below_a_root_without_one(tmp_path: Path) -> None:
    group(tmp_path / "groups/system.slice/comfyui.service", 1000, 700)

    assert found(tmp_path, "1:name=systemd:/x\n0::/system.slice/comfyui.service\n") == 500
    assert found(tmp_path, "0::/system.slice\n") is None


@pytest.mark.parametrize(("inner", "outer", "expected"), [(1000, 900, 400), (900, 1000, 400), ("max", 1000, 500)])
def test_free_in_cgroup_takes_the_tightest_of_all_groups_around(
    tmp_path: Path, inner: object, outer: object, expected: int
) -> None:
    group(tmp_path / "groups/a/b/c", inner, 700)
    group(tmp_path / "groups/a", outer, 700)

    assert found(tmp_path, "0::/a/b/c\n") == expected


@pytest.mark.parametrize("path", ["/docker/abc", "/", "/docker/of/the/host"])
def test_free_in_cgroup_reads_version_1(tmp_path: Path, path: str) -> None:
    folder = "groups/memory/docker/abc" if path == "/docker/abc" else "groups/memory"
    group(tmp_path / folder, 1000, 700, V1)

    assert found(tmp_path, f"5:cpu,cpuacct:/x\n4:hugetlb,memory:{path}\n0::/\n") == 500


@pytest.mark.parametrize("limit", [9223372036854771712, 1 << 60])
def test_free_in_cgroup_takes_a_huge_number_for_no_limit(tmp_path: Path, limit: int) -> None:
    group(tmp_path / "groups/memory/a", limit, 700, V1)
    assert found(tmp_path, "4:memory:/a\n") is None

    group(tmp_path / "groups/memory", 1000, 700, V1)
    assert found(tmp_path, "4:memory:/a\n") == 500


def test_free_in_cgroup_is_0_above_the_limit(tmp_path: Path) -> None:
    group(tmp_path / "groups", 1000, 1300)

    assert found(tmp_path, "0::/\n") == 0


@pytest.mark.parametrize("membership", ["", "nonsense\n\n:::\n4:memory\n0::\n", "0::/a\0b\n", "0::/" + "x" * 5000])
def test_free_in_cgroup_raises_nothing_on_odd_content(tmp_path: Path, membership: str) -> None:
    assert found(tmp_path, membership) is None

    group(tmp_path / "groups", "many", 700)
    assert found(tmp_path, membership) is None
    group(tmp_path / "groups", 1000, 700, (*V2[:2], "one two three\n"))
    assert found(tmp_path, membership) is None
    (tmp_path / "groups/memory.max").write_bytes(b"\xff\xfe")
    assert found(tmp_path, membership) is None
