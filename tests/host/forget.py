"""Remove everything that was set up in the cache, and nothing else."""

from __future__ import annotations

import shutil

from .cache import Cache, cache_root, say


def main() -> None:
    cache = Cache(cache_root())
    with cache.locked():
        for name in ("comfyui", "base", "overlay", "frontend", "swift", "comfy-cli", "compat"):
            for folder in cache.root.glob(f"{name}-*"):
                say(f"removing {folder}")
                shutil.rmtree(folder)
        cache.log.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
