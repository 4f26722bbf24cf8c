"""The ConfigMap's schema, and the decoder that applies it: YAML in, raw records with lines out.

The names of types and fields are MetalLB's, because its messages quote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from metallb_py.config.compile.limits import MAX_ITEMS, MAX_PEERS, MAX_POOLS
from metallb_py.config.problems import Findings
from metallb_py.config.yaml.document import Mapping, Node, Scalar, Sequence, parse_document
from metallb_py.config.yaml.scalars import (
    WrongTypeError,
    is_null,
    read_bool,
    read_integer,
    read_string,
    wrong_type,
)

T = TypeVar("T")

_WORD = re.compile(r"[-\w]*")

_NAME_SHOWN = 60  # characters of a name in a path
# Types in which a misplaced password may appear as a key, and the type of which no key is shown.
_NEAR_A_PASSWORD = {"peer", "nodeSelector", "selectorRequirements"}
_NOTHING_SHOWN = {"passwordSecret"}


@dataclass(frozen=True, slots=True)
class Located(Generic[T]):
    """A value with its line and path. The value is not printed, because it may be secret."""

    value: T = field(repr=False)
    line: int
    path: str


@dataclass(slots=True)
class Record:
    """A mapping that was decoded against the schema, with one table for each kind of value.

    A key whose value is null counts as not set.
    """

    line: int
    """Line on which the mapping starts."""
    path: str
    """Path to the mapping, empty for the configuration itself."""
    strings: dict[str, Located[str]] = field(default_factory=dict)
    """Strings, by key."""
    numbers: dict[str, Located[int]] = field(default_factory=dict)
    """Whole numbers, by key, in the range of the field's type."""
    flags: dict[str, Located[bool]] = field(default_factory=dict)
    """Booleans, by key."""
    string_lists: dict[str, list[Located[str]]] = field(default_factory=dict)
    """Lists of strings, by key, without the items of a wrong type."""
    string_maps: dict[str, dict[str, Located[str]]] = field(default_factory=dict)
    """Mappings of strings, by key, without the values of a wrong type."""
    record_lists: dict[str, list[Record]] = field(default_factory=dict)
    """Lists of mappings, by key."""
    records: dict[str, Record] = field(default_factory=dict)
    """Mappings, by key."""
    lines: dict[str, int] = field(default_factory=dict)
    """Line of the value, for every key that is set."""
    failed: set[str] = field(default_factory=set)
    """Keys whose value has or contains a wrong type, which was reported.

    All keys of the type, if the value in place of the record is not a mapping.
    """

    def string(self, key: str) -> str:
        """Return a string, empty if it is not set."""
        found = self.strings.get(key)
        return found.value if found else ""

    def number(self, key: str) -> int | None:
        """Return a number, None if it is not set."""
        found = self.numbers.get(key)
        return found.value if found else None

    def flag(self, key: str) -> bool | None:
        """Return a Boolean, None if it is not set."""
        found = self.flags.get(key)
        return found.value if found else None

    def line_of(self, key: str) -> int:
        """Return the line of a key's value, or of the record if the key is not set."""
        return self.lines.get(key, self.line)

    def path_of(self, key: str) -> str:
        """Return the path to a key's value."""
        return f"{self.path}.{key}" if self.path else key

    def as_written(self) -> tuple[object, ...]:
        """Return a comparable form of the record: every key that is set, with its value."""
        return (
            frozenset((key, item.value) for key, item in self.strings.items()),
            frozenset((key, item.value) for key, item in self.numbers.items()),
            frozenset((key, item.value) for key, item in self.flags.items()),
            frozenset((k, tuple(i.value for i in items)) for k, items in self.string_lists.items()),
            frozenset(
                (key, frozenset((name, item.value) for name, item in entries.items()))
                for key, entries in self.string_maps.items()
            ),
            frozenset(
                (key, tuple(item.as_written() for item in items))
                for key, items in self.record_lists.items()
            ),
        )


class Decoder:
    """Decoder of nodes against the schema, which records the problems in ``findings``."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def record(self, node: Node, type_name: str, path: str) -> Record:
        """Decode a mapping; null is the empty one."""
        record = Record(node.line, path)
        if is_null(node):
            return record
        fields = SCHEMA[type_name]
        if not isinstance(node, Mapping):
            # The value is not quoted: it could be a password on the wrong line.
            self.report(path, node.line, wrong_type(node, f"config.{type_name}", quote=False))
            record.failed.update(fields)
            return record
        seen: set[str] = set()
        for key, shown, value in _keys(node, secretive=type_name in _NEAR_A_PASSWORD):
            self._findings.spend()
            if key.text not in fields:
                known = ", ".join(sorted(fields))
                found = "..." if type_name in _NOTHING_SHOWN else shown
                message = f"field {found} not found in type config.{type_name}: want {known}"
                self.report(path, key.line, message)
            elif key.text in seen:
                message = f"field {key.text} already set in type config.{type_name}: want it once"
                self.report(path, key.line, message)
            else:
                seen.add(key.text)
                self._field(record, key.text, value, fields[key.text])
        return record

    def _field(self, record: Record, key: str, node: Node, read: FieldDecoder) -> None:
        if is_null(node):
            return
        record.lines[key] = node.line
        try:
            read(self, record, key, node)
        except WrongTypeError as error:
            record.failed.add(key)
            self.report(record.path_of(key), node.line, error)

    def report(self, path: str, line: int, what: str | WrongTypeError) -> None:
        """Report a problem with the YAML: MetalLB's message, and what was wanted."""
        message = f"could not parse config: yaml: unmarshal errors: line {line}: {what}"
        if isinstance(what, WrongTypeError) and what.wanted:
            message = f"{message}: want {what.wanted}"
        self._findings.add(line, path, message)


def is_secret(key: str) -> bool:
    """Whether the value of a key of this name is never shown, in any mapping."""
    return key == "password"


def _keys(node: Mapping, *, secretive: bool) -> Iterator[tuple[Scalar, str, Node]]:
    """Yield each key, the form in which it may be shown, and its value.

    With ``secretive``, a key that is not a plain word may contain a misplaced password, as in
    ``{password:secret}``, and so may the keys after a password in braces, as in
    ``{password: with,a comma}``.
    """
    hide = False
    for key, value in node.entries:
        word = _WORD.match(key.text)
        shown = word[0] if word and not hide else ""
        whole = not secretive or shown == key.text
        yield key, key.text if whole else f"{shown}...", value
        # A scalar in place of the reference to a Secret may be the password itself.
        misplaced = key.text == "password-secret" and isinstance(value, Scalar)
        hide = hide or (node.flow and (misplaced or is_secret(key.text)))


FieldDecoder = Callable[[Decoder, Record, str, Node], None]


def _string(_: Decoder, record: Record, key: str, node: Node) -> None:
    record.strings[key] = Located(read_string(node), node.line, record.path_of(key))


def _secret(decoder: Decoder, record: Record, key: str, node: Node) -> None:
    try:
        _string(decoder, record, key, node)
    except WrongTypeError:
        raise wrong_type(node, "string", quote=False) from None


def _flag(_: Decoder, record: Record, key: str, node: Node) -> None:
    record.flags[key] = Located(read_bool(node), node.line, record.path_of(key))


def _number(kind: str, low: int, high: int) -> FieldDecoder:
    def read(_: Decoder, record: Record, key: str, node: Node) -> None:
        number = read_integer(node, kind, low, high)
        record.numbers[key] = Located(number, node.line, record.path_of(key))

    return read


def _strings(decoder: Decoder, record: Record, key: str, node: Node) -> None:
    if not isinstance(node, Sequence):
        raise wrong_type(node, "[]string")
    found: list[Located[str]] = []
    for index, item in enumerate(node.items):
        path = f"{record.path_of(key)}[{index}]"
        try:
            found.append(Located(read_string(item), item.line, path))
        except WrongTypeError as error:
            record.failed.add(key)
            decoder.report(path, item.line, error)
    record.string_lists[key] = found


def _one_or_more(decoder: Decoder, record: Record, key: str, node: Node) -> None:
    """Decode a list of strings; a single string is a list of one."""
    if isinstance(node, Scalar):
        path = record.path_of(key)
        record.string_lists[key] = [Located(read_string(node), node.line, path)]
    else:
        _strings(decoder, record, key, node)


def _string_map(decoder: Decoder, record: Record, key: str, node: Node) -> None:
    if not isinstance(node, Mapping):
        raise wrong_type(node, "map[string]string")
    found: dict[str, Located[str]] = {}
    secret = False  # after a misplaced password in braces, further keys may be parts of it
    for name, value in node.entries:
        shown = "..." if secret else name.text[:_NAME_SHOWN]
        path = f"{record.path_of(key)}.{shown}"
        misplaced = is_secret(name.text)
        secret = secret or (misplaced and node.flow)
        if name.text in found:
            decoder.report(path, name.line, f'key "{shown}" already set in map: want it once')
            continue
        try:
            found[name.text] = Located(read_string(value), value.line, path)
        except WrongTypeError as error:
            record.failed.add(key)
            hidden = misplaced or secret
            decoder.report(
                path, value.line, wrong_type(value, "string", quote=False) if hidden else error
            )
    record.string_maps[key] = found


def _records(type_name: str, limit: int = MAX_ITEMS) -> FieldDecoder:
    def read(decoder: Decoder, record: Record, key: str, node: Node) -> None:
        if not isinstance(node, Sequence):
            raise wrong_type(node, f"[]config.{type_name}", quote=False)
        if len(node.items) > limit:
            raise WrongTypeError(f"{len(node.items)} items: want at most {limit}")
        record.record_lists[key] = [
            decoder.record(item, type_name, f"{record.path_of(key)}[{index}]{_name_of(item)}")
            for index, item in enumerate(node.items)
        ]

    return read


def _record(type_name: str) -> FieldDecoder:
    def read(decoder: Decoder, record: Record, key: str, node: Node) -> None:
        found = decoder.record(node, type_name, record.path_of(key))
        record.records[key] = found
        if found.failed:
            record.failed.add(key)

    return read


def _name_of(node: Node) -> str:
    """Return the name in a record, quoted for the path; empty without one."""
    if not isinstance(node, Mapping):
        return ""
    for key, value in node.entries:
        if key.text in ("name", "peer-address") and isinstance(value, Scalar):
            return f' "{value.text[:_NAME_SHOWN]}"'
    return ""


_UINT16 = _number("uint16", 0, 2**16 - 1)
_UINT32 = _number("uint32", 0, 2**32 - 1)
_INT = _number("int", -(2**63), 2**63 - 1)

SCHEMA: dict[str, dict[str, FieldDecoder]] = {
    "configFile": {
        "peers": _records("peer", MAX_PEERS),
        "bgp-communities": _string_map,
        "address-pools": _records("addressPool", MAX_POOLS),
        "bfd-profiles": _records("bfdProfile"),
    },
    "peer": {
        "my-asn": _UINT32,
        "peer-asn": _UINT32,
        "peer-address": _string,
        "source-address": _string,
        "peer-port": _UINT16,
        "hold-time": _string,
        "keepalive-time": _string,
        "router-id": _string,
        "node-selectors": _records("nodeSelector"),
        "password": _secret,
        "bfd-profile": _string,
        "ebgp-multihop": _flag,
        # Not in MetalLB 0.12.
        "name": _string,
        "interface": _string,
        "dynamic-asn": _string,
        "local-asn": _UINT32,
        "origin": _string,
        "passive": _flag,
        "ttl-security": _UINT32,
        "connect-time": _string,
        "graceful-restart": _flag,
        "password-secret": _record("passwordSecret"),
        "address-families": _strings,
        "next-hop": _one_or_more,
    },
    "passwordSecret": {"name": _string, "key": _string},
    "nodeSelector": {
        "match-labels": _string_map,
        "match-expressions": _records("selectorRequirements"),
    },
    "selectorRequirements": {"key": _string, "operator": _string, "values": _strings},
    "addressPool": {
        "protocol": _string,
        "name": _string,
        "addresses": _strings,
        "avoid-buggy-ips": _flag,
        "auto-assign": _flag,
        "bgp-advertisements": _records("bgpAdvertisement"),
        # Not in MetalLB 0.12: the services that the pool is reserved for, and its priority.
        "namespaces": _strings,
        "namespace-selectors": _records("labelSelector"),
        "service-selectors": _records("labelSelector"),
        "priority": _UINT32,
        # Not in MetalLB 0.12: the interfaces and nodes that answer for a layer2 pool.
        "interfaces": _strings,
        "node-selectors": _records("nodeSelector"),
    },
    "labelSelector": {
        "match-labels": _string_map,
        "match-expressions": _records("selectorRequirements"),
    },
    "bgpAdvertisement": {
        "aggregation-length": _INT,
        "aggregation-length-v6": _INT,
        "localpref": _UINT32,
        "communities": _strings,
        # Not in MetalLB 0.12.
        "large-communities": _strings,
        "med": _UINT32,
        "as-path-prepend": _UINT32,
        "weight-by-endpoints": _flag,
        "peers": _strings,
        "node-selectors": _records("nodeSelector"),
    },
    "bfdProfile": {
        "name": _string,
        "receive-interval": _UINT32,
        "transmit-interval": _UINT32,
        "detect-multiplier": _UINT32,
        "echo-interval": _UINT32,
        "echo-mode": _flag,
        "passive-mode": _flag,
        "minimum-ttl": _UINT32,
    },
}


def decode(text: str, findings: Findings, first_line: int = 1) -> Record:
    """Decode a configuration; add each mismatch with the schema to ``findings``.

    Lines count from ``first_line``. Raises ConfigError if the text is not YAML.
    """
    node = parse_document(text, first_line, findings.spend)
    if node is None:
        return Record(first_line, "")
    return Decoder(findings).record(node, "configFile", "")
