"""Lenient decoding of API objects from raw JSON: an undecodable object affects no other one.

Three attempts, each only where the one before failed. First as the data is, which is enough for
almost every object. Then after a repair of what other JSON parsers accept (``json_repair``): the
result is complete. Then field by field, without the fields of another type than the API's: the
result is ``Damaged``, with the identity if that can be decoded, so that the object's last good
version can stay in force, or its address stay assigned to it.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from metallb_py.errors import UndecodableError
from metallb_py.kube.json_repair import repair
from metallb_py.kube.objects import KubeObject, ObjectMeta
from metallb_py.printable import and_more

# RecursionError: values nested too deep. ValueError: invalid UTF-8, numbers of too many digits.
DECODE_ERRORS = (msgspec.MsgspecError, RecursionError, ValueError)
PROBLEMS = 5
"""Problems that are reported of one object; of the others, only their number is."""
NAME_LIMIT = 253

T = TypeVar("T")
Item = TypeVar("Item", bound=KubeObject)


@dataclass(frozen=True, slots=True)
class Damaged(Generic[Item]):
    """An object that can't be decoded completely.

    ``key`` and ``meta`` are its identity; empty and None where even that can't be decoded. ``item``
    is the object without the fields that can't be decoded (their paths are in its ``unread``); None
    without an identity. ``error`` names the fields, what was found, and what was wanted.
    """

    key: str
    meta: ObjectMeta | None
    item: Item | None
    error: str


def decode(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode one response of the API server. Raises UndecodableError."""
    try:
        return msgspec.json.decode(data, type=kind)
    except DECODE_ERRORS:
        pass
    try:
        return msgspec.json.decode(repair(bytes(data)), type=kind)
    except DECODE_ERRORS as error:
        message = f"unexpected answer of the API server: want {_name(kind)}: {_shorten(error)}"
        raise UndecodableError(message) from error


def decode_leniently(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Decode what can be decoded, with defaults for the rest.

    Raises UndecodableError if nothing can.
    """
    try:
        return decode(data, kind)
    except UndecodableError:
        found = _Salvage().value(msgspec.Raw(repair(bytes(data))), kind, "")
        if isinstance(found, kind):
            return found
        raise


class ObjectDecoder(Generic[Item]):
    """Decoder of objects of one kind."""

    def __init__(self, view: type[Item]) -> None:
        self._view = view
        self._decode = msgspec.json.Decoder(view).decode

    def decode(self, data: bytes | msgspec.Raw) -> Item | Damaged[Item]:
        """Return the object, or what can be decoded of it. Raises nothing."""
        whole = self.whole(data)
        return whole if whole is not None else self.salvage(data)

    def whole(self, data: bytes | msgspec.Raw) -> Item | None:
        """Return the object, None where it has to be salvaged. Fast."""
        try:
            return self._checked(self._decode(data))
        except DECODE_ERRORS:
            return None

    def salvage(self, data: bytes | msgspec.Raw) -> Item | Damaged[Item]:
        """Return the object, or what can be decoded of it. Raises nothing.

        Takes up to a second for an object as large as the API accepts: to be run in a thread.
        """
        repaired = repair(bytes(data))
        try:
            return self._checked(self._decode(repaired))
        except DECODE_ERRORS as error:
            return self._in_parts(repaired, _shorten(error))

    def _in_parts(self, data: bytes, error: str) -> Item | Damaged[Item]:
        salvage = _Salvage()
        item = salvage.value(msgspec.Raw(data), self._view, "")
        if not isinstance(item, self._view):
            return Damaged("", None, None, error)
        meta = item.metadata
        if "metadata.namespace" in salvage.paths or not _has_names(meta):
            return Damaged("", None, None, error)
        if not salvage.paths:
            return item  # only nulls, in fields that may be absent
        whole = msgspec.structs.replace(item, unread=tuple(salvage.paths))
        return Damaged(meta.key, meta, whole, salvage.describe())

    def _checked(self, item: Item) -> Item:
        """Return an item with valid names, which become parts of API paths. Raises ValueError."""
        meta = item.metadata
        if not _has_names(meta):
            found = f"{_quote(meta.namespace)} and {_quote(meta.name)}"
            raise ValueError(f"metadata.namespace and .name: found {found}, want names")
        return item


def _has_names(meta: ObjectMeta) -> bool:
    return is_name(meta.name) and (not meta.namespace or is_name(meta.namespace))


def is_name(text: str) -> bool:
    """Whether a text can be a segment of an API path (IsValidPathSegmentName), in ASCII."""
    return (
        0 < len(text) <= NAME_LIMIT
        and text not in (".", "..")
        and text.isascii()
        and text.isprintable()
        and not any(character in text for character in " /%?#\\")
    )


_LOST: typing.Final = object()


class _Salvage:
    """One decoding field by field; ``paths`` are those of the fields that were omitted."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._errors: list[str] = []
        self._count = 0

    def describe(self) -> str:
        """Return the paths that were omitted, and the reasons."""
        return "; ".join([*self._errors, *and_more(self._count - len(self._errors))])

    def value(self, data: msgspec.Raw, kind: object, path: str) -> object:
        """Return a value of this kind, or _LOST where nothing of it can be decoded."""
        try:
            return msgspec.json.decode(data, type=kind)
        except DECODE_ERRORS as error:
            message = _shorten(error)
        errors_before = self._count
        for option in _options(kind):
            found = self._parts(data, option, path)
            if found is not _LOST:
                return found
        if self._count == errors_before:  # otherwise the reason is recorded already
            self._add_error(path, message)
        return _LOST

    def _parts(self, data: msgspec.Raw, kind: object, path: str) -> object:
        """Return what can be decoded of an object or array, _LOST where the data is neither."""
        origin = typing.get_origin(kind)
        try:
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                return self._struct(data, kind, path)
            if origin is tuple:
                item = typing.get_args(kind)[0]
                found = (
                    self.value(each, item, f"{path}[{index}]")
                    for index, each in enumerate(msgspec.json.decode(data, type=list[msgspec.Raw]))
                )
                return tuple(each for each in found if each is not _LOST)
            if origin is dict:
                _, item = typing.get_args(kind)
                entries = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
                values = {
                    name: self.value(each, item, f"{path}[{_quote(name)}]")
                    for name, each in entries.items()
                }
                return {name: value for name, value in values.items() if value is not _LOST}
        except DECODE_ERRORS:
            pass
        return _LOST

    def _struct(self, data: msgspec.Raw, kind: type[msgspec.Struct], path: str) -> object:
        raw = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        values: dict[str, object] = {}
        for field in msgspec.structs.fields(kind):
            if field.encode_name not in raw:
                continue
            each = raw[field.encode_name]
            if bytes(each) == b"null" and not field.required:
                continue
            inner = f"{path}.{field.encode_name}" if path else field.encode_name
            value = self.value(each, field.type, inner)
            if value is not _LOST:
                values[field.name] = value
            elif field.required:
                return _LOST
        try:
            return kind(**values)
        except TypeError:  # a required field is absent
            return _LOST

    def _add_error(self, path: str, message: str) -> None:
        self._count += 1
        if len(self._errors) < PROBLEMS:
            self.paths.append(path)
            self._errors.append(f"{path}: {message}")


def _options(kind: object) -> tuple[object, ...]:
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        return typing.get_args(kind)
    return (kind,)


def _shorten(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."


def _quote(name: str) -> str:
    return ascii(name if len(name) <= 63 else f"{name[:63]}...")


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)
