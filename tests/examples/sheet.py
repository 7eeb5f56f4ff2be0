"""A workflow described in Python.

One description gives both the workflow file and the prompt that the frontend has to make from it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.host.comfy import Prompt

from .kinds import FRONTEND_VALUES, Kind, kinds

Point = tuple[int, int]
NAMESPACE = uuid.UUID("6f1d9a3e-52b4-4f0e-8f1c-7c2b8f5a1d27")
PAID = {"color": "#432", "bgcolor": "#653"}  # the node that costs money
NOTE = {"color": "#232", "bgcolor": "#353"}
BLUE, GOLD = "#3f789e", "#b58b2a"


@dataclass(frozen=True)
class Socket:
    """An output of a node."""

    node: Node
    name: str


@dataclass
class Node:
    id: int
    type: str
    pos: Point
    size: Point
    title: str
    inputs: dict[str, Any]

    @property
    def kind(self) -> Kind:
        return kinds()[self.type]

    def __getitem__(self, output: str) -> Socket:
        self.kind.output(output)
        return Socket(self, output)


@dataclass(frozen=True)
class Link:
    id: int
    origin: int
    origin_slot: int
    target: int
    target_slot: int
    type: str


@dataclass
class Sheet:
    """Nodes, notes and groups; `name` is the file's stem."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    notes: list[tuple[int, Point, Point, str]] = field(default_factory=list)
    groups: list[tuple[str, Point, Point, str]] = field(default_factory=list)

    def add(self, type_: str, pos: Point, size: Point, *, title: str = "", **inputs: Any) -> Node:
        """Add a node. An input is a value or a socket to link it to. Widgets that are not named keep their default."""
        for name in inputs:
            kinds()[type_].input(name)
        node = Node(self._next_id(), type_, pos, size, title, inputs)
        self.nodes.append(node)
        return node

    def note(self, pos: Point, size: Point, text: str) -> None:
        self.notes.append((self._next_id(), pos, size, text.strip() + "\n"))

    def group(self, title: str, pos: Point, size: Point, color: str = BLUE) -> None:
        self.groups.append((title, pos, size, color))

    def _next_id(self) -> int:
        return len(self.nodes) + len(self.notes) + 1

    def prompt(self) -> Prompt:
        """Return what the frontend queues: the API format."""
        return {str(node.id): {"class_type": node.type, "inputs": _queued(node)} for node in self.nodes}

    def links(self) -> list[Link]:
        found: list[Link] = []
        for node in self.nodes:
            for name, value in node.inputs.items():
                if isinstance(value, Socket):
                    slot, output = value.node.kind.output(value.name)
                    target, _ = node.kind.input(name)
                    found.append(Link(len(found) + 1, value.node.id, slot, node.id, target, output.type))
        return found

    def workflow(self) -> dict[str, Any]:
        links = self.links()
        return {
            "id": str(uuid.uuid5(NAMESPACE, self.name)),
            "revision": 0,
            "last_node_id": self._next_id() - 1,
            "last_link_id": len(links),
            "nodes": [saved_note(*note) for note in self.notes] + saved_nodes(self.nodes, links),
            "links": [
                [link.id, link.origin, link.origin_slot, link.target, link.target_slot, link.type] for link in links
            ],
            "groups": [
                {"id": at, "title": title, "bounding": [*pos, *size], "color": color, "font_size": 24, "flags": {}}
                for at, (title, pos, size, color) in enumerate(self.groups, 1)
            ],
            "config": {},
            "extra": {},
            "version": 0.4,
        }


def _queued(node: Node) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for each in node.kind.inputs:
        value = node.inputs.get(each.name, each.default if each.is_widget else None)
        if isinstance(value, Socket):
            slot, _ = value.node.kind.output(value.name)
            inputs[each.name] = [str(value.node.id), slot]
        elif each.is_widget:
            inputs[each.name] = value
    return inputs


def saved_nodes(nodes: list[Node], links: list[Link]) -> list[dict[str, Any]]:
    """Return nodes as in a workflow file. `links` are those of the same graph."""
    return [_saved(node, order, links) for order, node in enumerate(nodes)]


def _saved(node: Node, order: int, links: list[Link]) -> dict[str, Any]:
    into = {link.target_slot: link.id for link in links if link.target == node.id}
    out = [[link.id for link in links if link.origin == node.id and link.origin_slot == slot] for slot in range(16)]
    entry: dict[str, Any] = {
        "id": node.id,
        "type": node.type,
        "pos": list(node.pos),
        "size": list(node.size),
        "flags": {},
        "order": order,
        "mode": 0,
        "inputs": [
            {
                "name": each.name,
                "type": each.type,
                **({"shape": 7} if each.optional else {}),
                **({"widget": {"name": each.name}} if each.is_widget else {}),
                "link": into.get(slot),
            }
            for slot, each in enumerate(node.kind.inputs)
        ],
        "outputs": [
            {
                "name": each.name,
                "type": each.type,
                **({"shape": 6} if each.is_list else {}),
                "links": out[slot] or None,
            }
            for slot, each in enumerate(node.kind.outputs)
        ],
        "properties": {
            "cnr_id": "wan27-video" if node.type.startswith("Wan27") else "comfy-core",
            "Node name for S&R": node.type,
        },
        "widgets_values": widget_values(node),
    }
    if node.title:
        entry["title"] = node.title
    if node.type == "Wan27ImageToVideo":
        entry |= PAID
    return entry


def widget_values(node: Node) -> list[Any]:
    """Return the values of all widgets, including linked ones, in the order of the frontend."""
    values: list[Any] = []
    for each in node.kind.inputs:
        if each.is_widget:
            value = node.inputs.get(each.name, each.default)
            values.append(each.default if isinstance(value, Socket) else value)
            if each.control:
                values.append("fixed")
    return values + FRONTEND_VALUES.get(node.type, [])


def saved_note(id_: int, pos: Point, size: Point, text: str) -> dict[str, Any]:
    return {
        "id": id_,
        "type": "MarkdownNote",
        "pos": list(pos),
        "size": list(size),
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "How it works",
        "properties": {},
        "widgets_values": [text],
        **NOTE,
    }
