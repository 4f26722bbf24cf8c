"""Datagrams and streams of memberlist with something wrong, at whatever depth."""

from __future__ import annotations

from itertools import count
from random import Random

from support.memberlist_vectors import captures

from metallb_py.protocols.memberlist.codec.codec import encode, encode_compressed
from metallb_py.protocols.memberlist.codec.envelope import Envelope
from metallb_py.protocols.memberlist.codec.keyring import Keyring
from metallb_py.protocols.memberlist.codec.lzw import compress
from metallb_py.protocols.memberlist.codec.messages import User

# Types and lengths of MessagePack, kinds of messages, ends of ranges.
_TELLING = (0, 1, 6, 7, 9, 10, 12, 0x7F, 0x80, 0x8F, 0x9F, 0xA0, 0xC0, 0xC1, 0xC6, 0xD4)
_TELLING += (0xD9, 0xDB, 0xDD, 0xDF, 0xF4, 0xFF)
_KEYRING = Keyring((b"0123456789abcdef",))


class Fuzzer:
    """Makes bytes for each of its envelopes: plain, and sealed with a label."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        numbers = count()
        self.plain = Envelope(compression=False)
        self.sealed = Envelope("blue", _KEYRING, False, nonce=lambda: next(numbers).to_bytes(12))
        caught = captures()
        self._packets = [encode(m) for c in caught if c.way == "packet" for m in c.messages]
        self._streams = [encode(m) for c in caught if c.way != "packet" for m in c.messages]
        self._bombs = [encode_compressed(compress(bytes(200_000))), b"\x02" + bytes(5000)]
        self._before = b""

    def datagram(self, envelope: Envelope) -> bytes:
        """Return the next datagram."""
        chance = self._chance
        roll = chance.random()
        if roll < 0.05:
            return chance.randbytes(chance.randrange(0, 200))
        if roll < 0.07:
            return self._before
        parts = [self._part() for _ in range(chance.choice((1, 1, 1, 2, 3, 8)))]
        data = envelope.pack(parts, checksum=chance.random() < 0.3)
        self._before = data
        return self._damaged(data) if chance.random() < 0.3 else data

    def stream(self, envelope: Envelope) -> list[bytes]:
        """Return the pieces that come over the next stream."""
        chance = self._chance
        data = chance.choice(self._streams)
        if data[0] == encode(User())[0]:
            data = b"\x08\x81\xaaUserMsgLen\x03abc"
        if chance.random() < 0.02:
            data = self._bombs[0]
        if chance.random() < 0.5:
            data = self._damaged(data)
        if chance.random() < 0.2:
            data = self._compressed(data)
        data = envelope.pack_stream(data)
        if chance.random() < 0.3:
            data = self._damaged(data)
        step = chance.choice((1, 7, 100, 10_000))
        return [data[at : at + step] for at in range(0, len(data), step)]

    def _part(self) -> bytes:
        chance = self._chance
        if chance.random() < 0.01:
            return chance.choice(self._bombs)
        data = chance.choice(self._packets)
        if chance.random() < 0.4:
            data = self._damaged(data)
        return self._compressed(data) if chance.random() < 0.1 else data

    def _compressed(self, data: bytes) -> bytes:
        packed = compress(data)
        return encode_compressed(self._damaged(packed) if self._chance.random() < 0.5 else packed)

    def _damaged(self, data: bytes) -> bytes:
        damaged = bytearray(data)
        for _ in range(self._chance.randrange(1, 4)):
            self._damage(damaged)
        return bytes(damaged)

    def _damage(self, data: bytearray) -> None:
        chance = self._chance
        position = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 if position < len(data):
                data[position] ^= 1 << chance.randrange(8)
            case 1 if position < len(data):
                data[position] = chance.choice(_TELLING)
            case 2:
                del data[position:]
            case 3:
                data += chance.randbytes(chance.randrange(40))
            case 4:
                data[position:position] = bytes((chance.choice(_TELLING),)) * chance.randrange(300)
            case _:
                del data[position : position + chance.randrange(1, 9)]
