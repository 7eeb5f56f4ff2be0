"""Subgraph blueprints for subgraphs/: everything from the image to the frames in one node.

Every subgraph input is linked to the widget or socket inside that it stands for: every frontend version shows that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from .kinds import kinds
from .sheet import NAMESPACE, Link, Node, Sheet, Socket, saved_nodes
from .workflows import DECODE, JOIN, SHOTS, SUBMIT, UPLOAD, WAIT

INPUT_NODE, OUTPUT_NODE = -10, -20
ROOT_ID = 1
CATEGORY = "Wan 2.7"
EXPOSED_WIDGETS = ("prompt", "negative_prompt", "resolution", "duration", "seed", "prompt_extend", "watermark")


@dataclass(frozen=True)
class Exposed:
    """An input of the subgraph: its name outside, and the input inside that it stands for, of one or more nodes."""

    name: str
    nodes: tuple[Node, ...]
    input: str

    @property
    def node(self) -> Node:
        return self.nodes[0]


@dataclass(frozen=True)
class Blueprint:
    name: str
    description: str
    sheet: Sheet
    inputs: tuple[Exposed, ...]
    outputs: tuple[tuple[str, Socket], ...]

    def file(self) -> dict[str, Any]:
        definition = str(uuid.uuid5(NAMESPACE, self.name))
        links = self._links()
        return {
            "id": str(uuid.uuid5(NAMESPACE, f"{self.name} root")),
            "revision": 0,
            "last_node_id": ROOT_ID,
            "last_link_id": 0,
            "nodes": [self._root(definition)],
            "links": [],
            "groups": [],
            "definitions": {"subgraphs": [self._definition(definition, links)]},
            "config": {},
            "extra": {"BlueprintDescription": self.description, "BlueprintSearchAliases": ["wan", "wan27", "i2v"]},
            "version": 0.4,
        }

    def _links(self) -> list[Link]:
        links = self.sheet.links()
        for slot, exposed in enumerate(self.inputs):
            target, each = exposed.node.kind.input(exposed.input)
            for node in exposed.nodes:
                links.append(Link(len(links) + 1, INPUT_NODE, slot, node.id, target, each.type))
        for slot, (_, socket) in enumerate(self.outputs):
            origin, output = socket.node.kind.output(socket.name)
            links.append(Link(len(links) + 1, socket.node.id, origin, OUTPUT_NODE, slot, output.type))
        return links

    def _root(self, definition: str) -> dict[str, Any]:
        promoted = [each for each in self.inputs if each.node.kind.input(each.input)[1].is_widget]
        return {
            "id": ROOT_ID,
            "type": definition,
            "pos": [0, 0],
            "size": [400, 520],
            "flags": {},
            "order": 0,
            "mode": 0,
            "inputs": [
                {
                    "name": each.name,
                    "type": each.node.kind.input(each.input)[1].type,
                    **({"widget": {"name": each.name}} if each in promoted else {}),
                    "link": None,
                }
                for each in self.inputs
            ],
            "outputs": [{"name": name, "type": _type(socket), "links": None} for name, socket in self.outputs],
            "title": self.name,
            "properties": {"proxyWidgets": []},
            "widgets_values": [each.node.inputs[each.input] for each in promoted],
        }

    def _definition(self, id_: str, links: list[Link]) -> dict[str, Any]:
        return {
            "id": id_,
            "version": 1,
            "state": {
                "lastGroupId": 0,
                "lastNodeId": len(self.sheet.nodes),
                "lastLinkId": len(links),
                "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": self.name,
            "description": self.description,
            "category": CATEGORY,
            "inputNode": {"id": INPUT_NODE, "bounding": [-200, 40, 140, 40 + 20 * len(self.inputs)]},
            "outputNode": {"id": OUTPUT_NODE, "bounding": [1860, 40, 140, 40 + 20 * len(self.outputs)]},
            "inputs": [
                {
                    "id": self._uuid(f"input {each.name}"),
                    "name": each.name,
                    "type": each.node.kind.input(each.input)[1].type,
                    "linkIds": [link.id for link in links if link.origin == INPUT_NODE and link.origin_slot == slot],
                    "pos": [-80, 60 + 20 * slot],
                }
                for slot, each in enumerate(self.inputs)
            ],
            "outputs": [
                {
                    "id": self._uuid(f"output {name}"),
                    "name": name,
                    "type": _type(socket),
                    "linkIds": [link.id for link in links if link.target == OUTPUT_NODE and link.target_slot == slot],
                    "pos": [1880, 60 + 20 * slot],
                }
                for slot, (name, socket) in enumerate(self.outputs)
            ],
            "widgets": [],
            "nodes": saved_nodes(self.sheet.nodes, links),
            "groups": [],
            "links": [
                {
                    "id": link.id,
                    "origin_id": link.origin,
                    "origin_slot": link.origin_slot,
                    "target_id": link.target,
                    "target_slot": link.target_slot,
                    "type": link.type,
                }
                for link in links
            ],
            "extra": {},
        }

    def _uuid(self, what: str) -> str:
        return str(uuid.uuid5(NAMESPACE, f"{self.name} {what}"))


def _type(socket: Socket) -> str:
    return socket.node.kind.output(socket.name)[1].type


Upload = tuple[str, str, str, str]
"""Subgraph input, upload node, its input, and the field of Image to Video that takes its URL."""
FIRST: Upload = ("image", "Wan27UploadImage", "image", "image_url")
LAST: Upload = ("last_frame", "Wan27UploadImage", "image", "last_frame_url")
AUDIO: Upload = ("audio", "Wan27UploadAudio", "audio", "driving_audio_url")
CLIP: Upload = ("video", "Wan27UploadVideo", "video", "first_clip_url")


def blueprint(name: str, description: str, *media: Upload, duration: int = 5) -> Blueprint:
    sheet = Sheet(name)
    uploads = [sheet.add(type_, (0, 40 + 190 * at), UPLOAD) for at, (_, type_, _, _) in enumerate(media)]
    defaults = {each.name: each.default for each in kinds()["Wan27ImageToVideo"].inputs}
    values = {name: defaults[name] for name in EXPOSED_WIDGETS} | {"resolution": "720P", "duration": duration}
    urls: dict[str, Any] = {field: node["url"] for (_, _, _, field), node in zip(media, uploads, strict=True)}
    task = sheet.add("Wan27ImageToVideo", (330, 40), SUBMIT, **values, **urls)
    video = sheet.add("Wan27WaitForVideo", (780, 40), WAIT, task_id=task["task_id"])
    decoded = sheet.add("Wan27DecodeVideo", (1180, 40), DECODE, video=video["video"])
    inputs = [Exposed(name, (node,), input_) for (name, _, input_, _), node in zip(media, uploads, strict=True)]
    inputs += [Exposed(name, (task,), name) for name in EXPOSED_WIDGETS]
    outputs = [("video", video["video"])]
    outputs += [(name, decoded[name]) for name in ("images", "audio", "fps", "frame_count", "last_frame")]
    outputs += [("task_id", video["task_id"])]
    return Blueprint(name, description, sheet, tuple(inputs), tuple(outputs))


def film() -> Blueprint:
    """Return three shots in a row as one node."""
    name = "Wan 2.7 Three Shots to Film"
    sheet = Sheet(name)
    inputs: list[Exposed] = []
    tasks: list[Node] = []
    videos: list[Socket] = []
    frame: Socket | None = None
    for number, prompt in enumerate(SHOTS, 1):
        x = 1250 * (number - 1)
        url = sheet.add("Wan27UploadImage", (x, 40), UPLOAD, **({"image": frame} if frame else {}))
        if frame is None:
            inputs.append(Exposed("image", (url,), "image"))
        values = {"prompt": prompt, "resolution": "720P", "duration": 5, "seed": 41 + number}
        task = sheet.add("Wan27ImageToVideo", (x + 330, 40), SUBMIT, image_url=url["url"], **values)
        inputs.append(Exposed(f"prompt_{number}", (task,), "prompt"))
        tasks.append(task)
        videos.append(sheet.add("Wan27WaitForVideo", (x + 780, 40), WAIT, task_id=task["task_id"])["video"])
        frame = sheet.add("Wan27DecodeVideo", (x + 780, 660), DECODE, video=videos[-1])["last_frame"]
    inputs += [Exposed(each, tuple(tasks), each) for each in ("resolution", "duration")]
    sockets = {f"video_{number}": video for number, video in enumerate(videos, 1)}
    joined = sheet.add("Wan27JoinVideos", (3800, 40), JOIN, seam="drop_repeated", **sockets)
    assert frame is not None
    outputs = (("video", joined["video"]), ("last_frame", frame), ("info", joined["info"]))
    text = "Three shots, each starting on the last frame of the one before, joined to one film. Billed by the second."
    return Blueprint(name, text, sheet, tuple(inputs), outputs)


def blueprints() -> list[Blueprint]:
    return [
        blueprint("Wan 2.7 First Frame to Video", "An image becomes a video with sound. Billed by the second.", FIRST),
        blueprint(
            "Wan 2.7 First and Last Frame to Video",
            "A video from one image to another. Billed by the second.",
            FIRST,
            LAST,
        ),
        blueprint(
            "Wan 2.7 First Frame and Sound to Video",
            "An image moves and speaks to audio of 2-30 s. Billed by the second.",
            FIRST,
            AUDIO,
        ),
        blueprint(
            "Wan 2.7 Continue a Clip",
            "Continues a clip of 2-10 s. duration is the whole video, including the clip. Billed by the second.",
            CLIP,
            duration=12,
        ),
        film(),
    ]


def files() -> dict[str, dict[str, Any]]:
    return {each.name: each.file() for each in blueprints()}
