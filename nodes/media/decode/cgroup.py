"""Memory that the limit of a container or a systemd unit leaves: Linux control groups, versions 1 and 2."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_NO_LIMIT = 1 << 60
"""A figure from here on means no limit: version 1 writes the largest number of pages there is, in bytes."""


class _Names(NamedTuple):
    """Names of a version's files, and in memory.stat those of the file cache of a group and all groups below it."""

    limit: str
    used: str
    cache: tuple[str, str]


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_V2 = _Names("memory.max", "memory.current", ("inactive_file", "active_file"))


def free_in_cgroup(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int | None:
    """Return the bytes that the tightest limit on this process leaves, at least 0; None without one. Never raises."""
    one, two = _groups(membership)
    known = [_free_in(group, _V1) for group in _upwards(root / "memory", one)]
    known += [_free_in(group, _V2) for group in _upwards(root, two)]
    return min((value for value in known if value is not None), default=None)


def _groups(membership: Path) -> tuple[str, str]:
    """Return the paths of the process's groups, of version 1 for memory and of version 2; "/" if it is in none."""
    one = two = "/"
    try:
        lines = membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return one, two
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            one = path
        elif number == "0" and not controllers:
            two = path
    return one, two


def _upwards(root: Path, path: str) -> list[Path]:
    """Return the folders of a group and of all groups around it: each of their limits holds.

    In a container the path is often the host's, and only the root exists. The kernel writes ".." for a group outside of
    the container's own, which cannot be seen from the inside.
    """
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return [root.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _free_in(group: Path, names: _Names) -> int | None:
    """Return what one group's limit leaves. Its file cache counts as used there, but is released on demand."""
    try:
        limit = (group / names.limit).read_text(encoding="ascii").strip()
        if limit == "max" or int(limit) >= _NO_LIMIT:
            return None
        used = int((group / names.used).read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, int(limit) - used + sum(int(stat.get(name, 0)) for name in names.cache))
    except (OSError, ValueError):  # a path with odd characters is a ValueError too
        return None
