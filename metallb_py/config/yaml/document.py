"""YAML text as a tree of nodes with the inputs of Go's decoder: lines, tags, raw scalars.

PyYAML's own constructors resolve scalars by YAML 1.1, which turns ``64512:1`` into a number to the
base 60. Therefore only its events are used. The tree is built without recursion, and its size with
all aliases expanded is limited, so that a crafted text causes an error and no excessive work.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import yaml
from yaml.reader import Reader

from metallb_py.config.problems import ConfigError, Problem

MAX_CHARACTERS = 1_500_000  # a ConfigMap holds 1 MiB
MAX_DEPTH = 200
"""Levels of nested collections."""
MAX_DIRECTIVES = 100
"""``%TAG`` directives in the text."""
MAX_WEIGHT = 200_000
"""Weight of a document with its aliases expanded: nodes, and the length of long scalars."""
_CHARACTERS_PER_WEIGHT = 32

STRING_TAG = "!!str"
MERGE_TAG = "!!merge"
_LONG_TAG = "tag:yaml.org,2002:"
# The parts of a message in which PyYAML quotes the text; libyaml does not quote it.
_QUOTED = re.compile(r"(character|handle) (?:'.*?'|\".*?\")|, but found.*")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Scalar:
    """A single value as written."""

    line: int
    """Line on which the value starts."""
    text: str = field(repr=False)
    """The value; not printed, because it may be secret."""
    tag: str = ""
    """Tag in short form: "!!str" if quoted, empty if plain and to be resolved."""
    literal: bool = False
    """Whether it is a literal block ("|"), each line of which is a line of the file."""
    weight: int = 1
    """Share of MAX_WEIGHT, by the length of the text."""


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)
    weight: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys and values, in order: its own, with repeated keys, then those that it merges in.

    ``flow`` is set for the form in braces.
    """

    line: int
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)
    flow: bool = False
    weight: int = 1


Node = Scalar | Sequence | Mapping
Spend = Callable[[int], None]


def _free(_: int) -> None:
    """Ignore the steps (no budget)."""


def parse_document(text: str, first_line: int = 1, spend: Spend = _free) -> Node | None:
    """Parse the first document of a YAML text; return None without one.

    Lines count from ``first_line``. Each node is a step for ``spend``, which may raise to stop.
    Raises ConfigError with one problem, the first syntax error.
    """
    return next(_documents(text, first_line, spend), None)


def parse_documents(text: str) -> list[Node]:
    """Parse every document of a YAML text. Raises ConfigError with one problem."""
    return list(_documents(text, 1, _free))


def _documents(text: str, first_line: int, spend: Spend) -> Iterator[Node]:
    if len(text) > MAX_CHARACTERS:
        raise _error(first_line, f"{len(text)} characters: want at most {MAX_CHARACTERS}")
    if text.count("%TAG") > MAX_DIRECTIVES:
        # The parser compares each directive with all before it, without a limit.
        raise _error(first_line, f'"%TAG" more than {MAX_DIRECTIVES} times: want fewer')
    try:
        yield from _Builder(first_line, spend).build(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # Never str(error): it quotes the line, and the line may contain a password.
        reason = _QUOTED.sub(r"\1", error.problem or error.context or "malformed")
        raise _error(first_line + (mark.line if mark else 0), reason) from None
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "reason", "unreadable character")
        bad = Reader.NON_PRINTABLE.search(text)
        raise _error(first_line + text.count("\n", 0, bad.start() if bad else 0), reason) from None


def _error(line: int, message: str) -> ConfigError:
    return ConfigError(
        (Problem(line, "", f"could not parse config: yaml: line {line}: {message}"),)
    )


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been parsed yet."""

    node: Sequence | Mapping
    anchor: str | None
    key: Scalar | None = None
    merged: list[Mapping] = field(default_factory=list)


class _Builder:
    def __init__(self, first_line: int, spend: Spend) -> None:
        self._first_line = first_line
        self._spend = spend
        self._anchors: dict[str, Node] = {}
        self._open: list[_Open] = []
        self._open_anchors: Counter[str] = Counter()  # of the collections in _open
        self._root: Node | None = None

    def build(self, events: Iterator[yaml.Event]) -> Iterator[Node]:
        for event in events:
            self._spend(1)
            match event:
                case yaml.ScalarEvent():
                    self._add(self._scalar(event), event.anchor)
                case yaml.AliasEvent():
                    self._add(self._anchored(event), None)
                case yaml.SequenceStartEvent():
                    self._enter(Sequence(self._line(event)), event.anchor)
                case yaml.MappingStartEvent():
                    flow = bool(event.flow_style)
                    self._enter(Mapping(self._line(event), flow=flow), event.anchor)
                case yaml.CollectionEndEvent():
                    self._leave(self._open.pop())
                case yaml.DocumentEndEvent():
                    if self._root is not None:
                        yield self._root
                    self._root = None
                    self._anchors.clear()
                case _:
                    pass

    def _line(self, event: yaml.Event) -> int:
        mark = event.start_mark
        return self._first_line + (mark.line if mark else 0)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        tag = event.tag or ("" if event.implicit[0] else STRING_TAG)
        if tag.startswith(_LONG_TAG):
            tag = "!!" + tag.removeprefix(_LONG_TAG)
        text: str = event.value
        weight = 1 + len(text) // _CHARACTERS_PER_WEIGHT
        return Scalar(self._line(event), text, tag, event.style == "|", weight)

    def _anchored(self, event: yaml.AliasEvent) -> Node:
        # The message does not name the anchor: it could be a password that begins with "*".
        if event.anchor in self._open_anchors:
            raise _error(self._line(event), "anchor value contains itself")
        if event.anchor not in self._anchors:
            raise _error(self._line(event), "unknown anchor referenced")
        return self._anchors[event.anchor]

    def _enter(self, node: Sequence | Mapping, anchor: str | None) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise _error(node.line, f"nested deeper than {MAX_DEPTH} levels")
        self._open.append(_Open(node, anchor))
        if anchor is not None:
            self._open_anchors[anchor] += 1

    def _leave(self, done: _Open) -> None:
        if done.anchor is not None:
            self._open_anchors -= Counter((done.anchor,))
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
        parent.node.weight += node.weight
        if parent.node.weight > MAX_WEIGHT:
            raise _error(node.line, "document contains excessive aliasing, or too much")
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar):
                raise _error(node.line, "want a scalar as a key")
            parent.key = node
        else:
            self._add_entry(parent, parent.node, parent.key, node)
            parent.key = None

    def _add_entry(self, parent: _Open, mapping: Mapping, key: Scalar, value: Node) -> None:
        if key.text != "<<" or key.tag not in ("", MERGE_TAG):
            mapping.entries.append((key, value))
            return
        # A list is merged in order, and earlier keys take precedence (YAML's merge type).
        for source in value.items if isinstance(value, Sequence) else [value]:
            if not isinstance(source, Mapping):
                wanted = "map merge requires map or sequence of maps as the value"
                raise _error(key.line, wanted)
            parent.merged.append(source)
