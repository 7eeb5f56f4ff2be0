"""python3 -m tests.house [CHECKOUT] [--reach MODULE,…]: what nodes/ is made of.

Exit status 1: there is an import cycle or an upward import.
--reach lists the modules that the imports of some modules lead to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .imports import House, Import, cycles
from .layers import BELOW, OWN_LAYER


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.house", description="Measure the structure of nodes/.")
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--reach", help="list the modules that the imports of these modules lead to")
    options = parser.parse_args(arguments)
    house = House(options.checkout, OWN_LAYER)
    if options.reach:
        reached = house.reach(options.reach.split(","))
        print(*reached, f"{len(reached)} of {len(house.modules)} modules", sep="\n")
        return 0
    return report(house, house.upward(BELOW))


def report(house: House, upward: Sequence[Import]) -> int:
    """Print the figures and what is wrong; return the exit status."""
    print(f"{'package':<10}{'modules':>8}{'lines':>8}  imports")
    for package in house.packages:
        modules = [name for name in house.modules if house.package(name) == package]
        lines = sum(count for name, count in house.lines.items() if house.package(name) == package)
        print(f"{package:<10}{len(modules):>8}{lines:>8}  {' '.join(sorted(house.package_graph[package]))}")
    circles = [*cycles(house.graph), *cycles(house.package_graph)]
    arrows = sum(map(len, house.package_graph.values()))
    print(f"{len(house.packages)} packages, {len(house.modules)} modules, {sum(house.lines.values())} lines")
    print(f"{arrows} arrows between packages, {len(circles)} cycles, {len(upward)} upward imports")
    for circle in circles:
        print(f"cycle: {' '.join(circle)}")
    for found in upward:
        print(f"upward: {found.importer} imports {found.imported} (line {found.line})")
    return 1 if circles or upward else 0


if __name__ == "__main__":
    sys.exit(main())
