"""Stored state of the configuration, as objects beside the operator's ConfigMap.

The last good text and the draining pools are stored, compressed, in ConfigMaps of our own.
``<config>-state`` is the index, and holds the content itself where that fits into one object.
Larger content is split into parts, ``<config>-state-a-0`` and so on. The index names the set that
its parts are in (``a`` or ``b``) and the SHA-256 of the whole. A writer fills the set that the
index does not name, then replaces the index, then deletes the other set. So a reader never joins
parts of two writes, and a writer that stops half-way leaves the earlier content intact.

No owner reference: with the operator's ConfigMap as the owner, deleting and recreating it
(``kubectl replace --force``) would delete the last good text just when it is needed. The writer
deletes these objects where there is nothing to store.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from metallb_py.config.problems import one_line
from metallb_py.errors import MetallbError
from metallb_py.kube.annotation_names import PREFIX
from metallb_py.kube.objects import ConfigMap, Resource

LABEL = f"{PREFIX}/config-state"
FORMAT = "1"
MAX_LABEL = 63
PART_BYTES = 640 * 1024
"""Bytes of content in one object, which stays below 1 MiB also in base64, as it is sent."""
MAX_PARTS = 4
MAX_PLAIN_BYTES = 16 * 1024 * 1024
"""Bytes before compression: the text (at most 1 MiB, in its ConfigMap) and the draining pools."""
SETS = ("a", "b")
_PAYLOAD = "state"


class StateError(MetallbError):
    """The state can't be decoded, or can't be stored; the message names the object and why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored state.

    ``text`` is the text in force (None: unknown), ``draining`` the result of ``encode_pools``.
    ``refused`` is the version of a valid text that is not in force because of addresses in use.
    """

    text: str | None
    draining: str = ""
    refused: str = ""


class _Payload(msgspec.Struct, frozen=True):
    configmap: str
    text: str | None
    draining: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class StateNames:
    """Names of the objects that store the state of one ConfigMap."""

    namespace: str
    config: str

    @property
    def key(self) -> str:
        """``namespace/name`` of the operator's ConfigMap."""
        return f"{self.namespace}/{self.config}"

    @property
    def index(self) -> str:
        """Name of the index."""
        return f"{self.config}-state"

    def part(self, part_set: str, number: int) -> str:
        """Return the name of one part of a set."""
        return f"{self.index}-{part_set}-{number}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all possible parts."""
        return tuple(self.part(each, n) for each in SETS for n in range(MAX_PARTS))

    @property
    def all(self) -> frozenset[str]:
        """Names of all possible objects."""
        return frozenset({self.index, *self.parts})

    @property
    def label(self) -> str:
        """Value of our label: the ConfigMap's name, or its hash if the name is too long."""
        long = len(self.config) > MAX_LABEL
        return sha256(self.config.encode()).hexdigest()[:32] if long else self.config

    @property
    def resource(self) -> Resource[ConfigMap]:
        """Collection of these objects, for lists and watches."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        return Resource(path, ConfigMap, {"labelSelector": f"{LABEL}={self.label}"})


@dataclass(frozen=True, slots=True)
class Put:
    """Create or replace an object."""

    name: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object."""

    name: str


Step = Put | Delete


def decode(names: StateNames, objects: Mapping[str, ConfigMap]) -> Stored | None:
    """Decode the state from its objects, by name; None without an index.

    Raises StateError where it is damaged, incomplete, or belongs to another ConfigMap.
    """
    index = objects.get(names.index)
    if index is None:
        return None
    data = index.data or {}
    if data.get("format") != FORMAT:
        found = one_line(data.get("format", "")[:20])
        raise StateError(f'{names.index}: format "{found}": want "{FORMAT}"')
    packed = b"".join(
        _content(name, objects.get(name), data.get("sha256", "")) for name in _listed(names, data)
    )
    if sha256(packed).hexdigest() != data.get("sha256"):
        raise StateError(f"{names.index}: its content does not have the SHA-256 that it names")
    payload = _unpack(names.index, packed)
    if payload.configmap != names.key:
        raise StateError(
            f'{names.index}: the state of ConfigMap "{one_line(payload.configmap)}": want '
            f'"{names.key}"'
        )
    return Stored(payload.text, payload.draining, payload.refused)


def write_steps(
    names: StateNames, objects: Mapping[str, ConfigMap], wanted: Stored | None
) -> tuple[Step, ...]:
    """Return the steps, in order, that make the objects hold a state; None deletes them all.

    Raises StateError where the state is too large, or is not valid Unicode.
    """
    if wanted is None:
        return tuple(Delete(name) for name in sorted(objects.keys() & names.all))
    payload = _Payload(names.key, wanted.text, wanted.draining, wanted.refused)
    try:
        plain = msgspec.json.encode(payload)
    except UnicodeEncodeError as error:
        raise StateError(f"{names.index}: {error}: want text that UTF-8 can encode") from error
    packed = zlib.compress(plain, 6)
    if len(plain) > MAX_PLAIN_BYTES or len(packed) > MAX_PARTS * PART_BYTES:
        raise StateError(
            f"{len(plain)} bytes, {len(packed)} compressed: want at most {MAX_PLAIN_BYTES}, "
            f"{MAX_PARTS * PART_BYTES} compressed"
        )
    digest = sha256(packed).hexdigest()
    head = {"format": FORMAT, "sha256": digest}
    if len(packed) <= PART_BYTES:
        used: tuple[str, ...] = ()
        puts: tuple[Put, ...] = (Put(names.index, _body(names, names.index, head, packed)),)
    else:
        part_set = _free_set(objects.get(names.index))
        pieces = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
        used = tuple(names.part(part_set, n) for n in range(len(pieces)))
        puts = tuple(
            Put(name, _body(names, name, {"sha256": digest}, piece))
            for name, piece in zip(used, pieces, strict=True)
        )
        head |= {"set": part_set, "parts": str(len(pieces))}
        puts += (Put(names.index, _body(names, names.index, head, b"")),)
    left = sorted(objects.keys() & names.all - {names.index, *used})
    return (*puts, *(Delete(name) for name in left))


def is_clean(names: StateNames, objects: Mapping[str, ConfigMap]) -> bool:
    """Whether no objects exist but the index and those that it names. Raises StateError."""
    index = objects.get(names.index)
    known = set(_listed(names, index.data or {})) | {names.index} if index else set()
    return objects.keys() & names.all <= known


def _listed(names: StateNames, index: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the objects that hold an index's content. Raises StateError."""
    if "parts" not in index:
        return (names.index,)
    part_set, count = index.get("set", ""), index["parts"]
    if part_set not in SETS or count not in {str(n + 1) for n in range(MAX_PARTS)}:
        found = f'parts "{one_line(count[:20])}" of set "{one_line(part_set[:20])}"'
        raise StateError(f"{names.index}: {found}: want 1 to {MAX_PARTS} of a or b")
    return tuple(names.part(part_set, n) for n in range(int(count)))


def _content(name: str, item: ConfigMap | None, digest: str) -> bytes:
    if item is None:
        raise StateError(f"{name}: not found")
    if (item.data or {}).get("sha256") != digest:
        raise StateError(f"{name}: a part of another write")
    text = (item.binary_data or {}).get(_PAYLOAD)
    if text is None:
        raise StateError(f'{name}: want the key "{_PAYLOAD}" in its binaryData')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise StateError(f"{name}: {error}: want base64") from error


def _unpack(name: str, packed: bytes) -> _Payload:
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, MAX_PLAIN_BYTES)
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise StateError(f"{name}: want at most {MAX_PLAIN_BYTES} bytes, in a complete stream")
        return msgspec.json.decode(plain, type=_Payload)
    except zlib.error as error:
        raise StateError(f"{name}: {error}: want zlib") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StateError(f"{name}: {error}: want a state") from error


def _free_set(index: ConfigMap | None) -> str:
    named = (index.data or {}).get("set") if index else None
    return SETS[1] if named == SETS[0] else SETS[0]


def _body(
    names: StateNames, name: str, data: Mapping[str, str], content: bytes
) -> Mapping[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "namespace": names.namespace,
            "name": name,
            "labels": {
                "app": "metallb",
                "app.kubernetes.io/managed-by": "metallb-controller",
                LABEL: names.label,
            },
        },
        "data": data,
        **({"binaryData": {_PAYLOAD: base64.b64encode(content).decode()}} if content else {}),
    }
