"""The import graph of nodes/, read from the source: imports inside functions and under TYPE_CHECKING count too."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOP = "nodes"
"""The package name given to the modules at the top of nodes/."""


@dataclass(frozen=True)
class Import:
    """One import statement: `importer` and `imported` are module names below nodes/."""

    importer: str
    imported: str
    line: int


class House:
    """The modules of one checkout's nodes/ and their imports of each other.

    Args:
        root: The checkout.
        own_layer: Modules at the top of nodes/ that are a layer of their own; the other ones are the package "nodes".
    """

    def __init__(self, root: Path, own_layer: Collection[str] = ()) -> None:
        self.nodes = root / "nodes"
        self.own_layer = frozenset(own_layer)
        self.files = {self._name(file): file for file in sorted(self.nodes.rglob("*.py"))}

    def _name(self, file: Path) -> str:
        """Return the dotted name below nodes/, for an `__init__` the name of its package ("" for nodes/ itself)."""
        parts = file.relative_to(self.nodes).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def modules(self) -> list[str]:
        """Every module but the `__init__`s."""
        return [name for name, file in self.files.items() if file.stem != "__init__"]

    @cached_property
    def lines(self) -> dict[str, int]:
        """The lines of each file, `__init__`s included."""
        return {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in self.files.items()}

    def package(self, module: str) -> str:
        """Return the first folder of a module, or for a module at the top its layer."""
        first, _, rest = module.partition(".")
        if rest or (self.nodes / first).is_dir():
            return first or TOP
        return first if first in self.own_layer else TOP

    @cached_property
    def packages(self) -> list[str]:
        return sorted({self.package(module) for module in self.modules})

    @cached_property
    def imports(self) -> list[Import]:
        """Every import of one module of nodes/ by another."""
        found = (each for name, file in self.files.items() for each in self._imports_of(name, file))
        return list(dict.fromkeys(found))

    def _imports_of(self, name: str, file: Path) -> Iterator[Import]:
        parts = name.split(".") if name else []
        package = parts if file.stem == "__init__" else parts[:-1]
        for level, words, line in imports_in(file):
            if not level:
                continue
            base = package[: len(package) - (level - 1)]
            imported = self._resolve([*base, *words])
            if level - 1 <= len(package) and imported is not None and imported != name:
                yield Import(name, imported, line)

    def _resolve(self, words: list[str]) -> str | None:
        """Return the module that these words name: the last one may be a name inside it."""
        for end in (len(words), len(words) - 1):
            if end >= 0 and (name := ".".join(words[:end])) in self.files:
                return name
        return None

    @cached_property
    def graph(self) -> dict[str, set[str]]:
        """The modules that each module imports."""
        graph: dict[str, set[str]] = {name: set() for name in self.files}
        for found in self.imports:
            graph[found.importer].add(found.imported)
        return graph

    @cached_property
    def package_graph(self) -> dict[str, set[str]]:
        """The packages that each package imports, itself excepted."""
        graph: dict[str, set[str]] = {name: set() for name in self.packages}
        for found in self.imports:
            importer, imported = self.package(found.importer), self.package(found.imported)
            if importer != imported:
                graph.setdefault(importer, set()).add(imported)
        return graph

    def upward(self, below: Mapping[str, Collection[str]]) -> list[Import]:
        """Return the imports of a package by one that may not import it."""
        return [
            found
            for found in self.imports
            if (importer := self.package(found.importer)) != (imported := self.package(found.imported))
            and imported not in below.get(importer, ())
        ]

    def reach(self, start: Collection[str]) -> list[str]:
        """Return the modules, without `__init__`s, that the imports of `start` lead to; `start` included."""
        found, todo = set(start), list(start)
        while todo:
            new = self.graph[todo.pop()] - found
            found |= new
            todo += new
        return sorted(found & set(self.modules))


def imports_in(file: Path) -> Iterator[tuple[int, list[str], int]]:
    """Yield (dots, words, line) of each name that a file imports; the last word may be a name inside a module."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            yield from ((node.level, [*base, alias.name], node.lineno) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name.split("."), node.lineno) for alias in node.names)


def cycles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return the groups of more than one node in which each leads to every other (strongly connected components)."""
    reached = {node: _reached(graph, node) for node in graph}
    groups = {
        frozenset(other for other in reached[node] if node in reached[other]) for node in graph if node in reached[node]
    }
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reached(graph: Mapping[str, Collection[str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        new = set(graph.get(todo.pop(), ())) - found
        found |= new
        todo += new
    return found
