"""Fuzzer of memberlist datagrams and streams, with damage at every layer of the encoding."""

from __future__ import annotations

from itertools import count
from random import Random

from support.gossip.memberlist_vectors import captures

from metallb_py.protocols.memberlist.codec.encode import encode, encode_compressed
from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.keyring import Keyring
from metallb_py.protocols.memberlist.codec.lzw import compress
from metallb_py.protocols.memberlist.codec.messages import User

# Type and length bytes of MessagePack, kinds of messages, ends of ranges.
_SIGNIFICANT_BYTES = (0, 1, 6, 7, 9, 10, 12, 0x7F, 0x80, 0x8F, 0x9F, 0xA0, 0xC0, 0xC1, 0xC6, 0xD4)
_SIGNIFICANT_BYTES += (0xD9, 0xDB, 0xDD, 0xDF, 0xF4, 0xFF)
_KEYRING = Keyring((b"0123456789abcdef",))


class Fuzzer:
    """Generates bytes for its two envelopes: plain, and encrypted with a label."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        numbers = count()
        self.plain = Envelope(compression=False)
        self.sealed = Envelope("blue", _KEYRING, False, nonce=lambda: next(numbers).to_bytes(12))
        captured = captures()
        self._packets = [encode(m) for c in captured if c.way == "packet" for m in c.messages]
        self._streams = [encode(m) for c in captured if c.way != "packet" for m in c.messages]
        self._bombs = [encode_compressed(compress(bytes(200_000))), b"\x02" + bytes(5000)]
        self._before = b""

    def datagram(self, envelope: Envelope) -> bytes:
        """Return the next datagram."""
        rng = self._rng
        roll = rng.random()
        if roll < 0.05:
            return rng.randbytes(rng.randrange(0, 200))
        if roll < 0.07:
            return self._before
        parts = [self._part() for _ in range(rng.choice((1, 1, 1, 2, 3, 8)))]
        data = envelope.pack(parts, checksum=rng.random() < 0.3)
        self._before = data
        return self._damaged(data) if rng.random() < 0.3 else data

    def stream(self, envelope: Envelope) -> list[bytes]:
        """Return the segments of the next stream."""
        rng = self._rng
        data = rng.choice(self._streams)
        if data[0] == encode(User())[0]:
            data = b"\x08\x81\xaaUserMsgLen\x03abc"
        if rng.random() < 0.02:
            data = self._bombs[0]
        if rng.random() < 0.5:
            data = self._damaged(data)
        if rng.random() < 0.2:
            data = self._compressed(data)
        data = envelope.pack_stream(data)
        if rng.random() < 0.3:
            data = self._damaged(data)
        step = rng.choice((1, 7, 100, 10_000))
        return [data[at : at + step] for at in range(0, len(data), step)]

    def _part(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.01:
            return rng.choice(self._bombs)
        data = rng.choice(self._packets)
        if rng.random() < 0.4:
            data = self._damaged(data)
        return self._compressed(data) if rng.random() < 0.1 else data

    def _compressed(self, data: bytes) -> bytes:
        packed = compress(data)
        return encode_compressed(self._damaged(packed) if self._rng.random() < 0.5 else packed)

    def _damaged(self, data: bytes) -> bytes:
        damaged = bytearray(data)
        for _ in range(self._rng.randrange(1, 4)):
            self._damage(damaged)
        return bytes(damaged)

    def _damage(self, data: bytearray) -> None:
        rng = self._rng
        position = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if position < len(data):
                data[position] ^= 1 << rng.randrange(8)
            case 1 if position < len(data):
                data[position] = rng.choice(_SIGNIFICANT_BYTES)
            case 2:
                del data[position:]
            case 3:
                data += rng.randbytes(rng.randrange(40))
            case 4:
                data[position:position] = bytes((rng.choice(_SIGNIFICANT_BYTES),)) * rng.randrange(
                    300
                )
            case _:
                del data[position : position + rng.randrange(1, 9)]
