"""Remove everything that was set up in the cache, and nothing else."""

from __future__ import annotations

import shutil

from .cache import Cache, cache_root, say

BUILT = ("comfyui", "base", "overlay", "frontend", "swift", "comfy-cli", "compat", "wine", "windows")
"""How the names of the folders begin."""


def main() -> None:
    cache = Cache(cache_root())
    with cache.locked():
        for name in BUILT:
            for folder in cache.root.glob(f"{name}-*"):
                say(f"removing {folder}")
                shutil.rmtree(folder)
        cache.log.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
