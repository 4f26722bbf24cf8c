"""Layers around messages: compound, compression, checksum, encryption, label.

A datagram is label(encrypted(checksum(compressed(compound(messages))))), each layer only where it
is enabled or needed. memberlist reads compound and compression in any order and nested to any
depth; here a part of a compound may be compressed once more, and nothing deeper is read.

A stream is label(encrypted(compressed(message))). The answer over the same connection has no label
in front, but the label is still authenticated with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final
from zlib import crc32

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.memberlist.codec.compound import HEAD, join, split
from metallb_py.protocols.memberlist.codec.decode import (
    Compressed,
    MessageReader,
    UnknownKindError,
    decode,
    decode_compressed,
)
from metallb_py.protocols.memberlist.codec.encode import encode_compressed
from metallb_py.protocols.memberlist.codec.keyring import (
    NONCE,
    OVERHEAD,
    Keyring,
    Nonces,
    SealError,
)
from metallb_py.protocols.memberlist.codec.lzw import ExpansionError, LzwError, compress, decompress
from metallb_py.protocols.memberlist.codec.messages import Kind, Message, PushPull
from metallb_py.protocols.memberlist.codec.msgpack_fields import DecodeError, OversizedError
from metallb_py.protocols.memberlist.source_limits import WORK_PER_STATE

DATAGRAM_LIMIT: Final = 65_535
"""Most bytes of a datagram, as received and as decompressed."""
LABEL_LIMIT: Final = 255
"""Most bytes of a label."""
WORTH_COMPRESSING: Final = 256
"""Bytes from which compression is tried: less shrinks by a tenth at best, and often grows."""

_WRAPPERS: Final = (b"\x07", b"\x09")
_STREAM_KINDS: Final = frozenset({Kind.PUSH_PULL, Kind.ERROR})
_CHECKSUM_HEAD: Final = 5
_SEALED_HEAD: Final = 5


class Drop(StrEnum):
    """Reason for which a datagram or a stream was dropped; the value of a metric's label."""

    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    UNAUTHENTICATED = "unauthenticated"
    REPLAYED = "replayed"
    LABEL = "label"
    CHECKSUM = "checksum"
    UNKNOWN = "unknown"  # a kind of message that does not exist, or is not allowed there
    CONFLICT = "conflict"  # another member has this name
    LIMITED = "limited"  # its source exceeds a rate limit, or the streams a limit


class EnvelopeError(RemoteProtocolError):
    """A datagram or a stream must be dropped as a whole, for ``reason``.

    ``work``: the work until the error was found, as ``StreamReader.work`` and ``Unpacked.work``.
    """

    def __init__(self, message: str, reason: Drop, work: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.work = work


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The messages of a datagram.

    ``flaws``: number of parts that could not be decoded, plus one for bytes after the last part.
    ``work``: number of bytes to which it was decompressed.
    """

    messages: tuple[Message, ...]
    flaws: int = 0
    work: int = field(default=0, compare=False)


class Envelope:
    """Packs and unpacks, with the label, keys and compression that a cluster's members share.

    ``nonce`` returns 12 bytes that no member of the cluster ever uses again; encryption needs it.
    With a keyring, ``verify_incoming`` drops what is not encrypted, and ``verify_outgoing``
    encrypts what is sent. The nonces of decrypted datagrams are kept, to drop replayed ones.

    Raises ValueError for a label that is too long, and for encryption without a nonce.
    """

    __slots__ = ("_compression", "_head", "_keyring", "_label", "_nonces", "_seal", "_verify")

    def __init__(
        self,
        label: str = "",
        keyring: Keyring | None = None,
        compression: bool = True,
        verify_incoming: bool = True,
        verify_outgoing: bool = True,
        nonce: Callable[[], bytes] | None = None,
    ) -> None:
        self._label = label.encode()
        if len(self._label) > LABEL_LIMIT:
            raise ValueError(f"label: found {len(self._label)} bytes, want up to {LABEL_LIMIT}")
        self._head = bytes((Kind.LABEL, len(self._label))) + self._label if label else b""
        self._keyring = keyring
        self._compression = compression
        self._verify = keyring is not None and verify_incoming
        self._seal = _Sealer(keyring, nonce) if keyring and verify_outgoing else None
        self._nonces = Nonces()

    @property
    def overhead(self) -> int:
        """Most bytes that ``pack`` adds, besides two for each part."""
        sealing = OVERHEAD if self._seal else 0
        return len(self._head) + sealing + _CHECKSUM_HEAD + HEAD

    @property
    def wants_sealed(self) -> bool:
        """Whether unencrypted messages are dropped."""
        return self._verify

    def pack(self, parts: Sequence[bytes], checksum: bool = False) -> bytes:
        """Return a datagram of encoded messages. Raises LocalProtocolError if they do not fit.

        ``checksum``: whether the receiver supports checksums (protocol version 5).
        """
        data = self._compressed(parts[0] if len(parts) == 1 else join(parts))
        if checksum:
            data = b"\x0c" + crc32(data).to_bytes(4) + data
        if self._seal is not None:
            data = self._seal(data, self._label)
        return self._head + data

    def pack_stream(self, message: bytes, *, reply: bool = False) -> bytes:
        """Return the bytes of an encoded message for a stream.

        ``reply``: whether the other side opened the stream.
        """
        data = self._compressed(message)
        if self._seal is not None:
            head = b"\x0a" + (len(data) + OVERHEAD).to_bytes(4)
            data = head + self._seal(data, head + self._label)
        return data if reply else self._head + data

    def unpack(self, datagram: bytes) -> Unpacked:
        """Decode a datagram. Raises EnvelopeError; a bad part of a compound is only counted."""
        if len(datagram) > DATAGRAM_LIMIT:
            raise EnvelopeError(f"found {len(datagram)} bytes in a datagram", Drop.OVERSIZED)
        end = self.label_end(datagram)
        if end is None:
            raise EnvelopeError("found an incomplete label", Drop.MALFORMED)
        data = datagram[end:] if end else datagram
        if self._keyring is not None:
            data = self._decrypted(self._keyring, data)
        expander = _Expander(DATAGRAM_LIMIT)
        try:
            return _messages(_without_checksum(data), expander)
        except (DecodeError, LzwError) as error:
            raise _dropped(error, expander.work) from error

    def label_end(self, data: bytes | bytearray) -> int | None:
        """Return the end of the label, or None if it is incomplete. Raises EnvelopeError."""
        if data[:1] != b"\xf4":
            if self._label:
                raise EnvelopeError("found no label", Drop.LABEL)
            return 0
        end = 2 + data[1] if len(data) > 1 else 2
        if len(data) < end:
            return None
        if not self._label or data[2:end] != self._label:
            raise EnvelopeError("found another cluster's label, or an empty one", Drop.LABEL)
        return end

    def opener(self) -> Callable[[bytes, bytes], bytes]:
        """Return a function that decrypts a stream, given its type and length, and its body.

        Raises EnvelopeError without a keyring; the function raises it if no key fits.
        """
        if self._keyring is None:
            raise EnvelopeError("found an encrypted stream without a key", Drop.UNAUTHENTICATED)
        return partial(self._open_stream, self._keyring)

    def _open_stream(self, keyring: Keyring, head: bytes, sealed: bytes) -> bytes:
        try:
            return keyring.open(sealed, head + self._label)
        except SealError as error:
            raise EnvelopeError(str(error), Drop.UNAUTHENTICATED) from error

    def _decrypted(self, keyring: Keyring, data: bytes) -> bytes:
        nonce = data[1 : 1 + NONCE]
        if nonce in self._nonces:
            raise EnvelopeError("found a datagram that was received before", Drop.REPLAYED)
        try:
            plain = keyring.open(data, self._label)
        except SealError as error:
            if not self._verify:
                return data
            raise EnvelopeError(str(error), Drop.UNAUTHENTICATED) from error
        self._nonces.add(nonce)
        return plain

    def _compressed(self, data: bytes) -> bytes:
        if not self._compression or len(data) < WORTH_COMPRESSING:
            return data
        compressed = encode_compressed(compress(data))
        return compressed if len(compressed) < len(data) else data


class StreamReader:
    """Decodes the one message of a stream incrementally, from pieces of any size.

    ``limit``: most bytes of the message, as received and as decompressed. ``reply``: whether this
    member opened the stream. What follows the message is ignored.
    """

    __slots__ = ("_buffer", "_envelope", "_expander", "_labelled", "_limit", "_plain", "_states")

    def __init__(self, envelope: Envelope, limit: int, *, reply: bool = False) -> None:
        self._envelope = envelope
        self._limit = limit
        self._labelled = not reply
        self._buffer = bytearray()
        self._plain: MessageReader | None = None
        self._expander = _Expander(limit)
        self._states = 0

    @property
    def held(self) -> int:
        """Bytes of memory in use, about, including what was decoded so far."""
        plain = 0 if self._plain is None else self._plain.held
        return 2 * len(self._buffer) + plain

    @property
    def work(self) -> int:
        """Number of bytes decompressed so far, plus ``WORK_PER_STATE`` for each member decoded."""
        plain = 0 if self._plain is None else self._plain.states
        return self._expander.work + WORK_PER_STATE * (self._states or plain)

    def feed(self, data: bytes) -> Message | None:
        """Return the message once it is complete. Raises EnvelopeError; feed nothing after that.

        Memory is bounded in proportion to the limit and to ``data``.
        """
        try:
            message = self._fed(data)
        except (DecodeError, LzwError) as error:
            raise _dropped(error, self.work) from error
        if isinstance(message, PushPull):
            self._states = len(message.states)
        return message

    def _fed(self, data: bytes) -> Message | None:
        if self._plain is not None:
            return self._continue(self._plain, data)
        self._buffer += data
        return self._begin()

    def _begin(self) -> Message | None:
        if self._labelled and self._buffer:
            end = self._envelope.label_end(self._buffer)
            if end is None:
                return None
            del self._buffer[:end]
            self._labelled = False
        if not self._buffer:
            return None
        if self._buffer[0] == Kind.ENCRYPT:
            return self._open()
        if self._envelope.wants_sealed:
            raise EnvelopeError("found a stream that is not encrypted", Drop.UNAUTHENTICATED)
        self._plain = MessageReader(self._buffer[0], self._limit)
        rest = bytes(self._buffer[1:])
        self._buffer.clear()
        return self._continue(self._plain, rest)

    def _open(self) -> Message | None:
        open_sealed = self._envelope.opener()
        if len(self._buffer) < _SEALED_HEAD:
            return None
        length = int.from_bytes(self._buffer[1:_SEALED_HEAD])
        if length > self._limit:
            raise EnvelopeError(
                f"found {length} bytes announced, want up to {self._limit}", Drop.OVERSIZED
            )
        end = _SEALED_HEAD + length
        if len(self._buffer) < end:
            return None
        head, sealed = bytes(self._buffer[:_SEALED_HEAD]), bytes(self._buffer[_SEALED_HEAD:end])
        self._buffer.clear()
        found = _whole(open_sealed(head, sealed), self._limit)
        return self._expanded(found) if isinstance(found, Compressed) else found

    def _continue(self, reader: MessageReader, data: bytes) -> Message | None:
        found = reader.feed(data)
        return self._expanded(found) if isinstance(found, Compressed) else found

    def _expanded(self, found: Compressed) -> Message:
        inner = _whole(self._expander.decompress(found.data), self._limit)
        if isinstance(inner, Compressed):
            raise DecodeError("found a message that is compressed twice")
        return inner


class _Sealer:
    """Encrypts, each time with a new nonce."""

    __slots__ = ("_keyring", "_nonce")

    def __init__(self, keyring: Keyring, nonce: Callable[[], bytes] | None) -> None:
        if nonce is None:
            raise ValueError("found a keyring without a source of nonces")
        self._keyring = keyring
        self._nonce = nonce

    def __call__(self, plain: bytes, associated: bytes) -> bytes:
        return self._keyring.seal(plain, self._nonce(), associated)


def _without_checksum(data: bytes) -> bytes:
    """Verify and remove the checksum, if there is one. Raises EnvelopeError."""
    if data[:1] != b"\x0c":
        return data
    if len(data) < _CHECKSUM_HEAD:
        raise EnvelopeError("found an incomplete checksum", Drop.MALFORMED)
    covered = data[_CHECKSUM_HEAD:]
    if crc32(covered) != int.from_bytes(data[1:_CHECKSUM_HEAD]):
        raise EnvelopeError("found a wrong checksum", Drop.CHECKSUM)
    return covered


def _messages(data: bytes, expander: _Expander) -> Unpacked:
    """Return the messages of a compound, or the single message. Raises DecodeError, LzwError."""
    if data[:1] not in _WRAPPERS:
        return Unpacked((_datagram_message(data),))
    data = expander.expand(data)
    if data[:1] != b"\x07":
        return Unpacked((_datagram_message(data),), work=expander.work)
    parts, flaws = split(data)
    messages: list[Message] = []
    for part in parts:
        try:
            messages.append(_datagram_message(expander.expand(part)))
        except (DecodeError, LzwError):
            flaws += 1
    return Unpacked(tuple(messages), flaws, expander.work)


class _Expander:
    """Decompresses a datagram or a stream, up to a limit in bytes for all its parts."""

    __slots__ = ("_limit", "work")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.work = 0
        """Number of bytes decompressed so far; for data that failed, an upper bound."""

    def expand(self, data: bytes) -> bytes:
        """Return a message, decompressed if it is compressed. Raises DecodeError, LzwError."""
        return self.decompress(decode_compressed(data)) if data[:1] == b"\x09" else data

    def decompress(self, data: bytes) -> bytes:
        """Return decompressed data. Raises LzwError."""
        left = self._limit - self.work
        try:
            expanded = decompress(data, left)
        except ExpansionError:
            self.work = self._limit
            raise
        except LzwError:
            self.work += min(left, 8 * len(data))
            raise
        self.work += len(expanded)
        return expanded


def _datagram_message(data: bytes) -> Message:
    if data and data[0] in _STREAM_KINDS:
        raise UnknownKindError(f"found kind {data[0]}, want one for datagrams")
    return decode(data)


def _whole(data: bytes, limit: int) -> Message | Compressed:
    """Decode the complete content of a stream. Raises DecodeError."""
    found = MessageReader(data[0], limit).feed(data[1:]) if data else None
    if found is None:
        raise DecodeError(f"found {len(data)} bytes of a longer message")
    return found


def _dropped(error: DecodeError | LzwError, work: int) -> EnvelopeError:
    match error:
        case OversizedError() | ExpansionError():
            reason = Drop.OVERSIZED
        case UnknownKindError():
            reason = Drop.UNKNOWN
        case _:
            reason = Drop.MALFORMED
    return EnvelopeError(str(error), reason, work)
