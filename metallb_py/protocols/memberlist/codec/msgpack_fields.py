"""Maps of named fields in MessagePack, as Go's codec writes them, read with every check.

What is written: strings and bytes alike as raw (MessagePack before 2013), so bytes of 32 and more
have 16-bit lengths. What is read may also have strings and bytes of today's kinds. An absent field
and nil are the zero value, unknown fields are ignored. Nothing but numbers, strings and booleans
is wanted inside a map, so whatever nests is refused before it can pile up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgpack

from metallb_py.errors import RemoteProtocolError

MAP_LIMIT: Final = 16
"""The most fields that a map may have. Memberlist's own have up to eight."""
_BUFFER: Final = 4096
"""With so many bytes a buffer begins; it grows with what comes."""

Fields = Mapping[bytes, object]
T = TypeVar("T")


class DecodeError(RemoteProtocolError):
    """These bytes are no message."""


class OversizedError(DecodeError):
    """There is, or shall come, more than is read."""


pack: Final[Callable[[Mapping[str, object]], bytes]] = msgpack.Packer(use_bin_type=False).pack
"""Encode a map. Raises OverflowError or ValueError for what can't be."""


def read(data: bytes, wanted: type[T], reader: Callable[[Fields], T]) -> T:
    """Read one map and nothing after it. Raises DecodeError."""
    try:
        found: object = msgpack.unpackb(
            data,
            raw=True,
            object_hook=reader,
            max_map_len=MAP_LIMIT,
            max_array_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise DecodeError(f"want one map of fields: {error}") from error
    if not isinstance(found, wanted):
        raise DecodeError(f"found {type(found).__name__}, want a map of fields")
    return found


class MapReader:
    """Reads maps, and bytes after them, as they come. Takes no more than ``limit`` bytes at once.

    A map that has come in part is not read again from its start.
    """

    __slots__ = ("_hook", "_unpacker")

    def __init__(self, limit: int) -> None:
        self._hook = _Hook()
        self._unpacker = msgpack.Unpacker(
            raw=True,
            object_hook=self._hook,
            max_buffer_size=limit,
            read_size=min(limit, _BUFFER),
            max_map_len=MAP_LIMIT,
            max_array_len=0,
            max_ext_len=0,
        )

    @property
    def consumed(self) -> int:
        """How many bytes were read."""
        count: int = self._unpacker.tell()
        return count

    def feed(self, data: bytes) -> None:
        """Take more bytes. Raises OversizedError where they are more than the limit."""
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull as error:
            raise OversizedError("found more bytes than may be kept") from error

    def next(self, wanted: type[T], reader: Callable[[Fields], T]) -> T | None:
        """Read a map, or None where it is not whole yet. Raises DecodeError."""
        self._hook.reader = reader
        try:
            found: object = self._unpacker.unpack()
        except msgpack.OutOfData:
            return None
        except (ValueError, msgpack.UnpackException) as error:
            raise DecodeError(f"want a map of fields: {error}") from error
        if not isinstance(found, wanted):
            raise DecodeError(f"found {type(found).__name__}, want a map of fields")
        return found

    def take(self, most: int) -> bytes:
        """Return up to so many bytes from what comes after the maps."""
        try:
            data: bytes = self._unpacker.read_bytes(most)
        except msgpack.OutOfData:  # without its C extension it gives all or nothing
            return b""
        return data


class _Hook:
    """What an unpacker calls. A thing apart, or the buffers would wait for the collector."""

    __slots__ = ("reader",)

    def __init__(self) -> None:
        self.reader: Callable[[Fields], object] = dict

    def __call__(self, fields: Fields) -> object:
        return self.reader(fields)


def number(fields: Fields, name: bytes, most: int) -> int:
    """Return a number from 0 to ``most``. Raises DecodeError, as all these do."""
    value = fields.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= most:
        raise _wrong(name, value, f"a number up to {most}")
    return value


def raw(fields: Fields, name: bytes, most: int) -> bytes:
    """Return up to ``most`` bytes."""
    value = fields.get(name)
    if value is None:
        return b""
    if type(value) is not bytes or len(value) > most:
        raise _wrong(name, value, f"up to {most} bytes")
    return value


def text(fields: Fields, name: bytes, most: int) -> str:
    """Return UTF-8 text of up to ``most`` bytes."""
    try:
        return raw(fields, name, most).decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"{name.decode()}: want UTF-8: {error}") from error


def flag(fields: Fields, name: bytes) -> bool:
    """Return a boolean."""
    value = fields.get(name)
    if value is None:
        return False
    if type(value) is not bool:
        raise _wrong(name, value, "a boolean")
    return value


def _wrong(name: bytes, value: object, want: str) -> DecodeError:
    found = type(value).__name__
    if isinstance(value, bytes):
        found = f"{len(value)} bytes"
    elif type(value) is int:
        found = str(value)
    return DecodeError(f"{name.decode()}: found {found}, want {want}")
