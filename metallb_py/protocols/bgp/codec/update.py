"""UPDATE messages: announced and withdrawn prefixes (RFC 4271 section 4.3, RFC 4760).

IPv4 prefixes with IPv4 next hops are encoded in the message's own fields, all others in the
multiprotocol attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from metallb_py.addresses import AddressFamily, IPAddress, IPNetwork
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.codec.attributes import (
    AttributeType,
    PathAttributes,
    SplitAttributes,
    decode_attributes,
    encode_attribute,
    encode_attributes,
    split_attributes,
)
from metallb_py.protocols.bgp.codec.codes import UNICAST, BgpError, ErrorCode, UpdateError
from metallb_py.protocols.byte_reader import Reader, TruncatedError


@dataclass(frozen=True, slots=True)
class Reach:
    """Announced prefixes of one family, with their next hop.

    IPv4 prefixes may have an IPv6 next hop (RFC 8950), never the other way round. An IPv6 next hop
    may be followed by the ``link_local`` address of the same router (RFC 2545).
    """

    next_hop: IPAddress
    prefixes: tuple[IPNetwork, ...]
    link_local: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE message."""

    withdrawn: tuple[IPNetwork, ...] = ()
    """Withdrawn prefixes of any family."""
    reach: tuple[Reach, ...] = ()
    """Announced prefixes."""
    attributes: PathAttributes | None = None
    """Path attributes of every prefix in ``reach``; None where nothing is announced."""
    malformed: str = ""
    """The error in a received message whose announcements are treated as withdrawals (RFC 7606)."""
    end_of_rib: AddressFamily | None = None
    """The family of which this is the End-of-RIB marker (RFC 4724 section 2), else None."""


def encode_update(update: Update, *, four_octet: bool) -> bytes:
    """Encode the body of one message.

    Raises LocalProtocolError for what one message cannot express: announcements without
    attributes or with an impossible next hop, two next hops in the multiprotocol attribute.
    """
    if update.end_of_rib is not None:
        return _end_of_rib(update.end_of_rib)
    withdrawn_v4 = encode_prefixes(p for p in update.withdrawn if p.version == 4)
    attributes, announced_v4 = _encode_reach(update, four_octet)
    withdrawn_v6 = encode_prefixes(p for p in update.withdrawn if p.version == 6)
    if withdrawn_v6:
        attributes = encode_mp_unreach(AddressFamily.IPV6, withdrawn_v6) + attributes
    return join_body(withdrawn_v4, attributes, announced_v4)


def join_body(withdrawn: bytes, attributes: bytes, announced: bytes) -> bytes:
    """Join the encoded fields of an UPDATE. Raises LocalProtocolError if one is too long."""
    try:
        lengths = len(withdrawn).to_bytes(2), len(attributes).to_bytes(2)
    except OverflowError as error:
        raise LocalProtocolError("UPDATE exceeds the length of any message") from error
    return lengths[0] + withdrawn + lengths[1] + attributes + announced


def decode_update(body: bytes, *, four_octet: bool) -> Update:
    """Decode a body with the error handling of RFC 7606.

    Malformed attributes turn the announcements into withdrawals ("treat-as-withdraw"). Raises
    BgpError only where the affected prefixes cannot be determined. Unused attributes, such as
    AGGREGATOR, are not checked: where malformed, RFC 7606 has them discarded.
    """
    reader = Reader(body)
    try:
        withdrawn_field = reader.take(reader.u16())
        attribute_field = reader.take(reader.u16())
    except TruncatedError as error:
        raise _error(f"UPDATE: {error}", UpdateError.MALFORMED_ATTRIBUTE_LIST) from error
    announced = _decode_prefixes(AddressFamily.IPV4, reader.rest())
    split = split_attributes(attribute_field)
    withdrawn = (
        *_decode_prefixes(AddressFamily.IPV4, withdrawn_field),
        *_decode_mp_unreach(split.values),
    )
    reach = _decode_mp_reach(split.values)
    _check_prefixes_known(split, announced)
    try:
        if split.malformation is not None:
            raise split.malformation
        reach_v4 = _decode_reach_v4(split.values, announced)
        if not (reach_v4 or reach):
            return Update(withdrawn, end_of_rib=None if withdrawn else _end_of_rib_in(split.values))
        attributes = decode_attributes(split.values, four_octet=four_octet)
    except BgpError as error:
        lost = (*withdrawn, *announced, *(p for part in reach for p in part.prefixes))
        return Update(withdrawn=tuple(dict.fromkeys(lost)), malformed=str(error))
    return Update(withdrawn, (*reach_v4, *reach), attributes)


def _end_of_rib_in(values: Mapping[int, bytes]) -> AddressFamily | None:
    """Return the family whose End-of-RIB an UPDATE without prefixes is; None with other content."""
    if not values:
        return AddressFamily.IPV4
    if values.keys() == {AttributeType.MP_UNREACH_NLRI}:
        return _FAMILIES.get(values[AttributeType.MP_UNREACH_NLRI])
    return None


def _check_prefixes_known(split: SplitAttributes, announced: tuple[IPNetwork, ...]) -> None:
    """Raise the error in the attributes if it may have hidden prefixes.

    Where attributes are present without any announced prefix, and one is malformed, the prefixes
    may be in the part that cannot be decoded (RFC 7606 section 5.2).
    """
    only_withdraws = split.values.keys() == {AttributeType.MP_UNREACH_NLRI}
    announces = announced or AttributeType.MP_REACH_NLRI in split.values
    if split.malformation is not None and not (only_withdraws or announces):
        raise split.malformation


def _end_of_rib(family: AddressFamily) -> bytes:
    if family is AddressFamily.IPV4:
        return bytes(4)
    return join_body(b"", encode_mp_unreach(family, b""), b"")


def encode_prefix(prefix: IPNetwork) -> bytes:
    """Encode as the prefix length in bits, followed by the bytes that hold that many bits."""
    length = prefix.prefixlen
    return bytes((length,)) + prefix.network_address.packed[: (length + 7) >> 3]


def encode_prefixes(prefixes: Iterable[IPNetwork]) -> bytes:
    """Encode the prefixes one after the other."""
    return b"".join(map(encode_prefix, prefixes))


def encode_mp_reach(
    family: AddressFamily, next_hop: IPAddress, link_local: IPv6Address | None, prefixes: bytes
) -> bytes:
    """Encode the attribute that announces prefixes of any family (RFC 4760 section 3)."""
    address = next_hop.packed + (b"" if link_local is None else link_local.packed)
    value = _NUMBERS[family] + bytes((len(address),)) + address + b"\0" + prefixes
    return encode_attribute(AttributeType.MP_REACH_NLRI, value)


def encode_mp_unreach(family: AddressFamily, prefixes: bytes) -> bytes:
    """Encode the attribute that withdraws prefixes of any family (RFC 4760 section 4)."""
    return encode_attribute(AttributeType.MP_UNREACH_NLRI, _NUMBERS[family] + prefixes)


def _encode_reach(update: Update, four_octet: bool) -> tuple[bytes, bytes]:
    """Return the path attributes, and the IPv4 prefixes that follow them."""
    if not update.reach:
        return b"", b""
    if update.attributes is None:
        raise LocalProtocolError("announcements without path attributes")
    announced = multiprotocol = b""
    next_hop_v4 = None
    for reach in update.reach:
        versions = {prefix.version for prefix in reach.prefixes}
        if len(versions) != 1 or reach.next_hop.version < max(versions):
            raise LocalProtocolError(f"next hop {reach.next_hop} for prefixes of {versions}")
        if isinstance(reach.next_hop, IPv4Address):
            next_hop_v4 = reach.next_hop
            announced = encode_prefixes(reach.prefixes)
        elif multiprotocol:
            raise LocalProtocolError("found two next hops for MP_REACH_NLRI, want one per message")
        else:
            family = AddressFamily.IPV4 if versions == {4} else AddressFamily.IPV6
            prefixes = encode_prefixes(reach.prefixes)
            multiprotocol = encode_mp_reach(family, reach.next_hop, reach.link_local, prefixes)
    common = encode_attributes(update.attributes, four_octet=four_octet, next_hop=next_hop_v4)
    return multiprotocol + common, announced  # the multiprotocol one first: RFC 7606 section 5.1


_NUMBERS = {family: bytes((0, family, UNICAST)) for family in AddressFamily}
_FAMILIES = {numbers: family for family, numbers in _NUMBERS.items()}

_NEXT_HOP_LENGTHS = {AddressFamily.IPV4: (4, 16, 32), AddressFamily.IPV6: (16, 32)}
"""Bytes; with 32, a link-local address follows the global one (RFC 2545, RFC 8950)."""


def _decode_reach_v4(
    values: Mapping[int, bytes], prefixes: tuple[IPNetwork, ...]
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
    """Decode unicast announcements of both families; ignore those of other families.

    Raises BgpError where the prefixes cannot be determined (RFC 7606 sections 5.3 and 7.11).
    """
    value = values.get(AttributeType.MP_REACH_NLRI)
    if value is None:
        return ()
    reader = Reader(value)
    try:
        numbers, next_hop = reader.take(3), reader.take(reader.u8())
        reader.u8()  # reserved
    except TruncatedError as error:
        raise _broken(AttributeType.MP_REACH_NLRI, value, str(error)) from error
    family = _FAMILIES.get(numbers)
    if family is None:
        return ()
    if len(next_hop) not in _NEXT_HOP_LENGTHS[family]:
        found = f"found a next hop of {len(next_hop)} bytes"
        wanted = " or ".join(map(str, _NEXT_HOP_LENGTHS[family]))
        raise _broken(AttributeType.MP_REACH_NLRI, value, f"{found}, want {wanted}")
    prefixes = _decode_prefixes(family, reader.rest())
    address = IPv4Address(next_hop) if len(next_hop) == 4 else IPv6Address(next_hop[:16])
    link_local = IPv6Address(next_hop[16:]) if len(next_hop) == 32 else None
    return (Reach(address, prefixes, link_local),) if prefixes else ()


def _decode_mp_unreach(values: Mapping[int, bytes]) -> tuple[IPNetwork, ...]:
    value = values.get(AttributeType.MP_UNREACH_NLRI)
    if value is None:
        return ()
    if len(value) < 3:
        raise _broken(AttributeType.MP_UNREACH_NLRI, value, "data ends early")
    family = _FAMILIES.get(value[:3])
    return () if family is None else _decode_prefixes(family, value[3:])


def _decode_prefixes(family: AddressFamily, data: bytes) -> tuple[IPNetwork, ...]:
    if family is AddressFamily.IPV4:
        return tuple(IPv4Network(pair) for pair in _split_prefixes(data, 32))
    return tuple(IPv6Network(pair) for pair in _split_prefixes(data, 128))


def _split_prefixes(data: bytes, width: int) -> Iterator[tuple[int, int]]:
    """Yield address and length of each prefix; host bits, which may be set, are cleared."""
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


def _broken(kind: AttributeType, value: bytes, message: str) -> BgpError:
    """Return an error whose data is the erroneous attribute, as RFC 4271 section 6.3 requires."""
    return BgpError(
        f"{kind.name}: {message}",
        ErrorCode.UPDATE_MESSAGE,
        UpdateError.OPTIONAL_ATTRIBUTE,
        encode_attribute(kind, value),
    )


def _error(message: str, subcode: UpdateError) -> BgpError:
    return BgpError(message, ErrorCode.UPDATE_MESSAGE, subcode)
