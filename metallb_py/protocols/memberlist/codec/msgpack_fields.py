"""Maps of named fields in MessagePack, as Go's codec writes them.

Strings and bytes are both written as raw (MessagePack before 2013), so 32 bytes and more have a
16-bit length. Strings and bytes of today's types are accepted as well. A map contains only numbers,
strings and booleans, so nested values are rejected before they can accumulate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgpack

from metallb_py.errors import RemoteProtocolError

MAP_LIMIT: Final = 16
"""Most fields in a map. memberlist's own have up to eight."""
_BUFFER: Final = 4096
"""Initial size of a buffer in bytes; it grows with the data."""

Fields = Mapping[bytes, object]
T = TypeVar("T")


class DecodeError(RemoteProtocolError):
    """These bytes are not a valid message."""


class OversizedError(DecodeError):
    """A message is longer than the limit, or announces that it will be."""


pack: Final[Callable[[Mapping[str, object]], bytes]] = msgpack.Packer(use_bin_type=False).pack
"""Encode a map. Raises OverflowError or ValueError for values that can't be encoded."""


def read(data: bytes, wanted: type[T], reader: Callable[[Fields], T]) -> T:
    """Decode one map and nothing after it. Raises DecodeError."""
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
    """Decodes maps, and bytes after them, incrementally. Buffers up to ``limit`` bytes.

    A map that has arrived in part is not decoded again from its start.
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
        """Number of bytes decoded."""
        count: int = self._unpacker.tell()
        return count

    def feed(self, data: bytes) -> None:
        """Add bytes. Raises OversizedError if the limit is exceeded."""
        try:
            self._unpacker.feed(data)
        except msgpack.BufferFull as error:
            raise OversizedError("found more bytes than may be buffered") from error

    def next(self, wanted: type[T], reader: Callable[[Fields], T]) -> T | None:
        """Decode a map; None if it is incomplete. Raises DecodeError."""
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
        """Return up to ``most`` bytes that follow the maps."""
        try:
            data: bytes = self._unpacker.read_bytes(most)
        except msgpack.OutOfData:  # without its C extension it returns all or nothing
            return b""
        return data


class _Hook:
    """The unpacker's hook. Apart from the reader, so that no cycle delays freeing the buffers."""

    __slots__ = ("reader",)

    def __init__(self) -> None:
        self.reader: Callable[[Fields], object] = dict

    def __call__(self, fields: Fields) -> object:
        return self.reader(fields)
