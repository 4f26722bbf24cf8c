"""YAML text as a tree that keeps what Go's decoder looks at: lines, quotes, raw scalars.

PyYAML's own constructors resolve scalars as YAML 1.1 says, which turns ``64512:1`` into a number
to the base 60. So only its events are used. The tree is built without recursion and its size is
bounded, so that no text, however made, costs more than an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from metallb_py.config.problems import ConfigError, Problem

MAX_BYTES = 1_500_000  # a ConfigMap holds 1 MiB
MAX_DEPTH = 40
MAX_NODES = 400_000

_STRING_TAG = "tag:yaml.org,2002:str"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Scalar:
    """A single value as written; ``plain`` unless it was quoted, a block, or tagged a string."""

    line: int
    text: str
    plain: bool
    size: int = 1


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)
    size: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys and values, in order: its own, repeated keys included, then what it merges in."""

    line: int
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)
    size: int = 1


Node = Scalar | Sequence | Mapping


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    node: Sequence | Mapping
    anchor: str | None
    key: Scalar | None = None
    merged: list[Mapping] = field(default_factory=list)


def parse_document(text: str) -> Node | None:
    """Read the first document of a YAML text; None where there is none.

    Raises ConfigError with one problem: a text that is no YAML is told by its first fault.
    """
    if len(text) > MAX_BYTES:
        raise _error(1, f"{len(text)} characters: want at most {MAX_BYTES}")
    try:
        return _Builder().build(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # Never str(error): it quotes the line, and the line may hold a password.
        said = error.problem or error.context or "malformed"
        raise _error(mark.line + 1 if mark else 1, f"yaml: {said}") from None
    except (yaml.YAMLError, ValueError) as error:
        said = getattr(error, "reason", None) or "unreadable character"
        raise _error(1, f"yaml: {said}") from None


def _error(line: int, message: str) -> ConfigError:
    return ConfigError((Problem(line, "", f"could not parse config: {message}"),))


class _Builder:
    def __init__(self) -> None:
        self._anchors: dict[str, Node] = {}
        self._open: list[_Open] = []
        self._root: Node | None = None

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            match event:
                case yaml.ScalarEvent():
                    self._add(_scalar(event), event.anchor)
                case yaml.AliasEvent():
                    self._add(self._anchored(event), None)
                case yaml.SequenceStartEvent():
                    self._enter(Sequence(_line(event)), event.anchor)
                case yaml.MappingStartEvent():
                    self._enter(Mapping(_line(event)), event.anchor)
                case yaml.CollectionEndEvent():
                    self._leave(self._open.pop())
                case yaml.DocumentEndEvent():
                    return self._root
                case _:
                    pass
        return self._root

    def _anchored(self, event: yaml.AliasEvent) -> Node:
        if any(item.anchor == event.anchor for item in self._open):
            raise _error(_line(event), f"yaml: anchor '{event.anchor}' value contains itself")
        if event.anchor not in self._anchors:
            raise _error(_line(event), f"yaml: unknown anchor '{event.anchor}' referenced")
        return self._anchors[event.anchor]

    def _enter(self, node: Sequence | Mapping, anchor: str | None) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise _error(node.line, f"yaml: nested deeper than {MAX_DEPTH} levels")
        self._open.append(_Open(node, anchor))

    def _leave(self, done: _Open) -> None:
        if isinstance(done.node, Mapping):
            known = {key.text for key, _ in done.node.entries}
            for source in done.merged:
                fresh = [(key, value) for key, value in source.entries if key.text not in known]
                done.node.entries += fresh
                known.update(key.text for key, _ in fresh)
        self._add(done.node, done.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.node.size += node.size
        if parent.node.size > MAX_NODES:
            raise _error(node.line, "yaml: document contains excessive aliasing")
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar):
                raise _error(node.line, "yaml: want a scalar as a key")
            parent.key = node
        else:
            self._add_entry(parent, parent.node, parent.key, node)
            parent.key = None

    def _add_entry(self, parent: _Open, mapping: Mapping, key: Scalar, value: Node) -> None:
        if not (key.plain and key.text == "<<"):
            mapping.entries.append((key, value))
            return
        # A list is merged in order, and the first one's keys win (YAML's merge type).
        for source in value.items if isinstance(value, Sequence) else [value]:
            if not isinstance(source, Mapping):
                wanted = "map merge requires map or sequence of maps as the value"
                raise _error(key.line, f"yaml: {wanted}")
            parent.merged.append(source)


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return mark.line + 1 if mark else 1


def _scalar(event: yaml.ScalarEvent) -> Scalar:
    plain, quoted = event.implicit
    tagged = not plain and not quoted and event.tag != _STRING_TAG
    return Scalar(_line(event), event.value, plain or tagged)
