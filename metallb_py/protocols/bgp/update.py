"""UPDATE messages: prefixes that come and go (RFC 4271 section 4.3, RFC 4760).

IPv4 prefixes travel in the message's own fields, IPv6 ones in the multiprotocol attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.attributes import (
    AttributeType,
    PathAttributes,
    SplitAttributes,
    decode_attributes,
    encode_attribute,
    encode_attributes,
    split_attributes,
)
from metallb_py.protocols.bgp.codes import (
    UNICAST,
    AddressFamily,
    BgpError,
    ErrorCode,
    UpdateError,
)
from metallb_py.protocols.bgp.framing import HEADER_LENGTH, MAX_LENGTH
from metallb_py.protocols.wire import Reader, TruncatedError


@dataclass(frozen=True, slots=True)
class Reach:
    """Prefixes of one family and the next hop, of the same family, that they are reached by."""

    next_hop: IPAddress
    prefixes: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE. An all-empty one is the End-of-RIB marker of IPv4 (RFC 4724).

    ``attributes`` describe every prefix in ``reach``. ``malformed`` is what was wrong with a
    received one whose announcements count as withdrawn for it (RFC 7606).
    """

    withdrawn: tuple[IPNetwork, ...] = ()
    reach: tuple[Reach, ...] = ()
    attributes: PathAttributes | None = None
    malformed: str = ""


_ROOM = MAX_LENGTH - HEADER_LENGTH - 4
"""Bytes for prefixes and attributes in one message: all but the header and two length fields."""

_MULTIPROTOCOL_OVERHEAD = 4 + 3 + 1 + 16 + 1
"""The most that MP_REACH_NLRI takes besides the prefixes: its own header, family, next hop."""


def pack_announcements(
    attributes: PathAttributes, reach: Reach, *, four_octet: bool
) -> Iterator[Update]:
    """Share the prefixes out to as few messages as hold them. Their order is kept."""
    next_hop = reach.next_hop if isinstance(reach.next_hop, IPv4Address) else None
    taken = len(encode_attributes(attributes, four_octet=four_octet, next_hop=next_hop))
    if next_hop is None:
        taken += _MULTIPROTOCOL_OVERHEAD
    for prefixes in _chunks(reach.prefixes, _ROOM - taken):
        yield Update(reach=(Reach(reach.next_hop, prefixes),), attributes=attributes)


def pack_withdrawals(prefixes: Iterable[IPNetwork]) -> Iterator[Update]:
    """Share withdrawn prefixes of any families out to messages of one family each."""
    everything = tuple(prefixes)
    for family in (IPv4Network, IPv6Network):
        members = tuple(prefix for prefix in everything if isinstance(prefix, family))
        for chunk in _chunks(members, _ROOM - _MULTIPROTOCOL_OVERHEAD):
            yield Update(withdrawn=chunk)


def encode_update(update: Update, *, four_octet: bool) -> bytes:
    """Encode the body of one message.

    Raises LocalProtocolError for what one message cannot carry: too much of it, announcements
    without attributes, or a next hop of another family than its prefixes.
    """
    withdrawn_v4 = encode_prefixes(p for p in update.withdrawn if isinstance(p, IPv4Network))
    attributes, announced_v4 = _encode_reach(update, four_octet)
    withdrawn_v6 = encode_prefixes(p for p in update.withdrawn if isinstance(p, IPv6Network))
    if withdrawn_v6:
        value = _FAMILY_V6 + withdrawn_v6
        attributes = encode_attribute(AttributeType.MP_UNREACH_NLRI, value) + attributes
    if len(withdrawn_v4) + len(attributes) + len(announced_v4) > _ROOM:
        raise LocalProtocolError(f"UPDATE exceeds {MAX_LENGTH} bytes")
    return (
        len(withdrawn_v4).to_bytes(2)
        + withdrawn_v4
        + len(attributes).to_bytes(2)
        + attributes
        + announced_v4
    )


def decode_update(body: bytes, *, four_octet: bool) -> Update:
    """Decode a body, leniently as RFC 7606 wants it.

    Wrong attributes turn the announcements into withdrawals. Raises BgpError only where it
    cannot be told which prefixes the message is about. Attributes that are of no use to us, such
    as AGGREGATOR, may be as wrong as they like: RFC 7606 has them discarded.
    """
    reader = Reader(body)
    try:
        withdrawn_field = reader.take(reader.u16())
        attribute_field = reader.take(reader.u16())
    except TruncatedError as error:
        raise _error(f"UPDATE: {error}", UpdateError.MALFORMED_ATTRIBUTE_LIST) from error
    announced = _decode_v4(reader.rest())
    split = split_attributes(attribute_field)
    withdrawn = (*_decode_v4(withdrawn_field), *_decode_mp_unreach(split.values))
    reach = _decode_mp_reach(split.values)
    _check_certainty(split, announced)
    try:
        if split.flaw is not None:
            raise split.flaw
        reach_v4 = _decode_reach_v4(split.values, announced)
        if not (reach_v4 or reach):
            return Update(withdrawn)
        attributes = decode_attributes(split.values, four_octet=four_octet)
    except BgpError as error:
        lost = (*withdrawn, *announced, *(p for part in reach for p in part.prefixes))
        return Update(withdrawn=tuple(dict.fromkeys(lost)), malformed=str(error))
    return Update(withdrawn, (*reach_v4, *reach), attributes)


def _check_certainty(split: SplitAttributes, announced: tuple[IPv4Network, ...]) -> None:
    """Raise the flaw if it may have hidden prefixes.

    Attributes that describe nothing, one of them broken: what they were to describe may be in
    what cannot be read (RFC 7606 section 5.2).
    """
    only_withdraws = split.values.keys() == {AttributeType.MP_UNREACH_NLRI}
    announces = announced or AttributeType.MP_REACH_NLRI in split.values
    if split.flaw is not None and not (only_withdraws or announces):
        raise split.flaw


def end_of_rib(family: AddressFamily) -> bytes:
    """Return the body of the UPDATE that says: these were all routes (RFC 4724 section 2)."""
    if family is AddressFamily.IPV4:
        return bytes(4)
    attribute = encode_attribute(AttributeType.MP_UNREACH_NLRI, _FAMILY_V6)
    return bytes(2) + len(attribute).to_bytes(2) + attribute


def encode_prefixes(prefixes: Iterable[IPNetwork]) -> bytes:
    """Encode each as its length in bits and as many bytes as these need."""
    return b"".join(
        bytes((length := prefix.prefixlen,)) + prefix.network_address.packed[: (length + 7) >> 3]
        for prefix in prefixes
    )


def _chunks(prefixes: Iterable[IPNetwork], room: int) -> Iterator[tuple[IPNetwork, ...]]:
    chunk: list[IPNetwork] = []
    size = 0
    for prefix in prefixes:
        needed = 1 + ((prefix.prefixlen + 7) >> 3)
        if size + needed > room:
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(prefix)
        size += needed
    if chunk:
        yield tuple(chunk)


def _encode_reach(update: Update, four_octet: bool) -> tuple[bytes, bytes]:
    """Return the path attributes, and the IPv4 prefixes that follow them."""
    if not update.reach:
        return b"", b""
    if update.attributes is None:
        raise LocalProtocolError("announcements need attributes")
    announced = multiprotocol = b""
    next_hop_v4 = None
    for reach in update.reach:
        version = reach.next_hop.version
        if any(prefix.version != version for prefix in reach.prefixes):
            raise LocalProtocolError(f"next hop {reach.next_hop} is of another family")
        if isinstance(reach.next_hop, IPv4Address):
            next_hop_v4 = reach.next_hop
            announced = encode_prefixes(reach.prefixes)
        else:
            value = _FAMILY_V6 + b"\x10" + reach.next_hop.packed + b"\0"
            value += encode_prefixes(reach.prefixes)
            multiprotocol = encode_attribute(AttributeType.MP_REACH_NLRI, value)
    common = encode_attributes(update.attributes, four_octet=four_octet, next_hop=next_hop_v4)
    return multiprotocol + common, announced  # the multiprotocol one first: RFC 7606 section 5.1


_FAMILY_V6 = bytes((0, AddressFamily.IPV6, UNICAST))


def _decode_reach_v4(
    values: Mapping[int, bytes], prefixes: tuple[IPv4Network, ...]
) -> tuple[Reach, ...]:
    if not prefixes:
        return ()
    value = values.get(AttributeType.NEXT_HOP)
    if value is None:
        raise _error("mandatory attribute NEXT_HOP is missing", UpdateError.MISSING_WELL_KNOWN)
    if len(value) != 4:
        raise _error(f"NEXT_HOP: found {len(value)} bytes, want 4", UpdateError.ATTRIBUTE_LENGTH)
    return (Reach(IPv4Address(value), prefixes),)


def _decode_mp_reach(values: Mapping[int, bytes]) -> tuple[Reach, ...]:
    """IPv6 unicast announcements; those of other families are none of ours.

    Raises BgpError for all that makes the prefixes uncertain (RFC 7606 sections 5.3 and 7.11).
    """
    value = values.get(AttributeType.MP_REACH_NLRI)
    if value is None:
        return ()
    reader = Reader(value)
    try:
        family, next_hop = reader.take(3), reader.take(reader.u8())
        reader.u8()  # reserved
    except TruncatedError as error:
        raise _error(f"MP_REACH_NLRI: {error}", UpdateError.OPTIONAL_ATTRIBUTE) from error
    if family != _FAMILY_V6:
        return ()
    if len(next_hop) not in (16, 32):  # with 32, a link-local address follows the global one
        raise _error(
            f"MP_REACH_NLRI: found a next hop of {len(next_hop)} bytes, want 16 or 32",
            UpdateError.OPTIONAL_ATTRIBUTE,
        )
    prefixes = _decode_v6(reader.rest())
    return (Reach(IPv6Address(next_hop[:16]), prefixes),) if prefixes else ()


def _decode_mp_unreach(values: Mapping[int, bytes]) -> tuple[IPNetwork, ...]:
    value = values.get(AttributeType.MP_UNREACH_NLRI, _FAMILY_V6)
    if len(value) < 3:
        raise _error("MP_UNREACH_NLRI: data ends early", UpdateError.OPTIONAL_ATTRIBUTE)
    return _decode_v6(value[3:]) if value[:3] == _FAMILY_V6 else ()


def _decode_v4(data: bytes) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(pair) for pair in _decode_prefixes(data, 32))


def _decode_v6(data: bytes) -> tuple[IPv6Network, ...]:
    return tuple(IPv6Network(pair) for pair in _decode_prefixes(data, 128))


def _decode_prefixes(data: bytes, width: int) -> Iterator[tuple[int, int]]:
    """Yield address and length of each; bits past the length are cleared, as they may be set."""
    reader = Reader(data)
    try:
        while reader.remaining:
            length = reader.u8()
            if length > width:
                raise _error(
                    f"found a prefix length of {length}, want up to {width}",
                    UpdateError.INVALID_NETWORK,
                )
            octets = (length + 7) >> 3
            host_bits = width - length
            value = int.from_bytes(reader.take(octets)) << (width - 8 * octets)
            yield value >> host_bits << host_bits, length
    except TruncatedError as error:
        raise _error(f"prefix: {error}", UpdateError.INVALID_NETWORK) from error


def _error(message: str, subcode: UpdateError) -> BgpError:
    return BgpError(message, ErrorCode.UPDATE_MESSAGE, subcode)
