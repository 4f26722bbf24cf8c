"""Decoder of Kubernetes' protobuf, in which ``kubectl create KIND`` sends objects.

``kubectl create namespace``, ``service``, ``configmap`` and ``secret`` support no other encoding.
The field numbers are those of Kubernetes' generated.proto files; fields that these commands never
set are ignored.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from metallb_py.errors import ApiError
from metallb_py.lab.apiserver.store import Json, Object

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = int | bytes


@dataclass(frozen=True, slots=True)
class _Field:
    """A field's name in JSON, and the function that reads its value."""

    name: str
    read: Callable[[Value], Json]
    repeated: bool = False
    is_map: bool = False


Schema = Mapping[int, _Field]


def decode(body: bytes) -> Object:
    """Return the object in a request's body. Raises ApiError."""
    if not body.startswith(MAGIC):
        raise ApiError(f"body: want Kubernetes' protobuf, which starts with {MAGIC!r}", 400)
    try:
        envelope = _read(body[len(MAGIC) :], _ENVELOPE)
        type_meta, raw = envelope["typeMeta"], envelope["raw"]
        if not isinstance(type_meta, dict) or not isinstance(raw, str):
            raise ApiError("body: want an object in an envelope", 400)
        schema = _KINDS.get(str(type_meta.get("kind")))
        if schema is None:
            raise ApiError(f"{type_meta.get('kind')} in protobuf: want application/json", 415)
        return type_meta | _read(base64.b64decode(raw), schema)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ApiError(f"body: not Kubernetes' protobuf: {error}", 400) from error


def _read(data: bytes, schema: Schema) -> Object:
    found: Object = {}
    for number, value in _fields(data):
        field = schema.get(number)
        if field is None:
            continue
        read = field.read(value)
        earlier = found.get(field.name)
        if field.repeated:
            found[field.name] = [*earlier, read] if isinstance(earlier, list) else [read]
        elif field.is_map and isinstance(read, dict):
            entry = {str(read.get("key", "")): read.get("value", "")}
            found[field.name] = {**earlier, **entry} if isinstance(earlier, dict) else entry
        elif read not in ("", 0):  # a field that is not set is sent as its type's zero
            found[field.name] = read
    return found


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if position + size > len(data):
            raise ValueError(f"want {size} bytes at {position}, have {len(data) - position}")
        yield key >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _string(value: Value) -> Json:
    if isinstance(value, int):
        raise TypeError("want text")
    return value.decode()


def _base64(value: Value) -> Json:
    if isinstance(value, int):
        raise TypeError("want bytes")
    return base64.b64encode(value).decode()


def _number(value: Value) -> Json:
    if not isinstance(value, int):
        raise TypeError("want a number")
    return value


def _message(schema: Schema) -> Callable[[Value], Json]:
    def read(value: Value) -> Json:
        if isinstance(value, int):
            raise TypeError("want a message")
        return _read(value, schema)

    return read


def _number_or_string(value: Value) -> Json:
    """Read an IntOrString: its type (0 for a number), the number, the string."""
    found = _message({1: _Field("type", _number), 2: _NUMBER, 3: _STRING})(value)
    if not isinstance(found, dict):
        raise TypeError("want a number or text")
    return found.get("string", "") if found.get("type") else found.get("number", 0)


def _map(name: str, read: Callable[[Value], Json]) -> _Field:
    entry = _message({1: _Field("key", _string), 2: _Field("value", read)})
    return _Field(name, entry, is_map=True)


_NUMBER = _Field("number", _number)
_STRING = _Field("string", _string)
_ENVELOPE: Schema = {
    1: _Field("typeMeta", _message({1: _Field("apiVersion", _string), 2: _Field("kind", _string)})),
    2: _Field("raw", _base64),
}
_METADATA = _Field(
    "metadata",
    _message(
        {
            1: _Field("name", _string),
            2: _Field("generateName", _string),
            3: _Field("namespace", _string),
            11: _map("labels", _string),
            12: _map("annotations", _string),
        }
    ),
)
_PORT: Schema = {
    1: _Field("name", _string),
    2: _Field("protocol", _string),
    3: _Field("port", _number),
    4: _Field("targetPort", _number_or_string),
    5: _Field("nodePort", _number),
}
_SERVICE: Schema = {
    1: _Field("ports", _message(_PORT), repeated=True),
    2: _map("selector", _string),
    3: _Field("clusterIP", _string),
    4: _Field("type", _string),
    5: _Field("externalIPs", _string, repeated=True),
    7: _Field("sessionAffinity", _string),
    8: _Field("loadBalancerIP", _string),
    10: _Field("externalName", _string),
    11: _Field("externalTrafficPolicy", _string),
}
_KINDS: dict[str, Schema] = {
    "Namespace": {1: _METADATA},
    "Service": {1: _METADATA, 2: _Field("spec", _message(_SERVICE))},
    "ConfigMap": {1: _METADATA, 2: _map("data", _string), 3: _map("binaryData", _base64)},
    "Secret": {1: _METADATA, 2: _map("data", _base64), 3: _Field("type", _string)},
}
