"""Packing of prefixes with equal attributes into as few UPDATE messages as possible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address

from metallb_py.addresses import AddressFamily, IPNetwork
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.codec.attributes import PathAttributes, encode_attributes
from metallb_py.protocols.bgp.codec.codes import MessageType
from metallb_py.protocols.bgp.codec.framing import HEADER_LENGTH, MAX_LENGTH, frame
from metallb_py.protocols.bgp.codec.update import (
    encode_mp_reach,
    encode_mp_unreach,
    encode_prefix,
    join_body,
)
from metallb_py.protocols.bgp.rib.path_attributes import NextHop

OVERHEAD = HEADER_LENGTH + 4
"""Bytes of an UPDATE other than prefixes and attributes: the header and two length fields."""

_LONG_LENGTH = 1
"""Bytes by which the header of an attribute of more than 255 bytes is longer."""


def pack_announcements(
    attributes: PathAttributes,
    next_hop: NextHop,
    prefixes: Sequence[IPNetwork],
    *,
    four_octet: bool,
    max_length: int = MAX_LENGTH,
) -> Iterator[bytes]:
    """Yield complete messages that announce these prefixes, all of one family, in their order.

    Raises LocalProtocolError where the attributes leave no room for a prefix.
    """
    own = next_hop.address if isinstance(next_hop.address, IPv4Address) else None
    common = encode_attributes(attributes, four_octet=four_octet, next_hop=own)
    room = max_length - OVERHEAD - len(common)
    if own is not None:
        for chunk in _chunks(prefixes, room):
            yield frame(MessageType.UPDATE, join_body(b"", common, chunk))
        return
    family = AddressFamily.IPV6 if prefixes and prefixes[0].version == 6 else AddressFamily.IPV4
    address, link_local = next_hop.address, next_hop.link_local
    empty = encode_mp_reach(family, address, link_local, b"")
    for chunk in _chunks(prefixes, room - len(empty) - _LONG_LENGTH):
        reach = encode_mp_reach(family, address, link_local, chunk)
        yield frame(MessageType.UPDATE, join_body(b"", reach + common, b""))


def pack_withdrawals(
    prefixes: Iterable[IPNetwork], *, max_length: int = MAX_LENGTH
) -> Iterator[bytes]:
    """Yield complete messages, of one family each, that withdraw these prefixes of any family."""
    everything = tuple(prefixes)
    room = max_length - OVERHEAD
    for chunk in _chunks((p for p in everything if p.version == 4), room):
        yield frame(MessageType.UPDATE, join_body(chunk, b"", b""))
    empty = encode_mp_unreach(AddressFamily.IPV6, b"")
    members = (p for p in everything if p.version == 6)
    for chunk in _chunks(members, room - len(empty) - _LONG_LENGTH):
        attribute = encode_mp_unreach(AddressFamily.IPV6, chunk)
        yield frame(MessageType.UPDATE, join_body(b"", attribute, b""))


def _chunks(prefixes: Iterable[IPNetwork], room: int) -> Iterator[bytes]:
    """Yield the encoded prefixes in chunks of at most ``room`` bytes."""
    chunk: list[bytes] = []
    left = room
    for prefix in prefixes:
        encoded = encode_prefix(prefix)
        left -= len(encoded)
        if left < 0:
            if not chunk:
                raise LocalProtocolError("path attributes leave no room for a prefix")
            yield b"".join(chunk)
            chunk = []
            left = room - len(encoded)
        chunk.append(encoded)
    if chunk:
        yield b"".join(chunk)
