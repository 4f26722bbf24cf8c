"""Path attributes of an UPDATE (RFC 4271 sections 4.3 and 5), communities among them.

This module handles the attributes that describe a route of any family. Next hops and the
multiprotocol attributes are handled with the prefixes, in ``update``. Communities are those of
RFC 1997, RFC 4360 (extended) and RFC 8092 (large).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from math import isfinite
from struct import Struct

from metallb_py.errors import LocalProtocolError
from metallb_py.model.peers import Origin
from metallb_py.protocols.bgp.codec.codes import AS_TRANS, BgpError, ErrorCode, UpdateError
from metallb_py.protocols.byte_reader import Reader, TruncatedError

_LARGE = Struct("!LLL")
_LINK_BANDWIDTH = Struct("!BBHf")

_NON_TRANSITIVE = 0x40
_TWO_OCTET_AS, _LINK_BANDWIDTH_SUBTYPE = 0x00, 0x04


@dataclass(frozen=True, slots=True)
class LinkBandwidth:
    """The link bandwidth extended community, by which routers weight multiple paths (RFC 10005).

    ``bytes_per_second`` is encoded as a float of four bytes, ``asn`` in two bytes.
    """

    asn: int
    bytes_per_second: float


def encode_communities(communities: tuple[int, ...]) -> bytes:
    """Encode the value of COMMUNITIES."""
    return b"".join(community.to_bytes(4) for community in communities)


def decode_communities(value: bytes) -> tuple[int, ...]:
    """Decode the value of COMMUNITIES. Raises BgpError (RFC 7606 section 7.8)."""
    _want_multiple("COMMUNITIES", value, 4)
    return tuple(int.from_bytes(value[at : at + 4]) for at in range(0, len(value), 4))


def encode_large_communities(communities: tuple[tuple[int, int, int], ...]) -> bytes:
    """Encode the value of LARGE_COMMUNITY."""
    return b"".join(_LARGE.pack(*community) for community in communities)


def decode_large_communities(value: bytes) -> tuple[tuple[int, int, int], ...]:
    """Decode the value of LARGE_COMMUNITY, without duplicates.

    Raises BgpError (RFC 8092 sections 3 and 6).
    """
    _want_multiple("LARGE_COMMUNITY", value, _LARGE.size)
    return tuple(dict.fromkeys(_LARGE.iter_unpack(value)))


def encode_link_bandwidth(link: LinkBandwidth) -> bytes:
    """Encode the value of EXTENDED_COMMUNITIES with the link bandwidth community alone."""
    asn = link.asn if link.asn <= 0xFFFF else AS_TRANS
    return _LINK_BANDWIDTH.pack(
        _NON_TRANSITIVE | _TWO_OCTET_AS, _LINK_BANDWIDTH_SUBTYPE, asn, link.bytes_per_second
    )


def decode_link_bandwidth(value: bytes) -> LinkBandwidth | None:
    """Decode the first link bandwidth community in EXTENDED_COMMUNITIES, None without one.

    Other extended communities are ignored, and so is a bandwidth that is negative or not finite.
    Raises BgpError (RFC 7606 section 7.14).
    """
    _want_multiple("EXTENDED_COMMUNITIES", value, _LINK_BANDWIDTH.size)
    for kind, subtype, asn, bandwidth in _LINK_BANDWIDTH.iter_unpack(value):
        is_link = kind & ~_NON_TRANSITIVE == _TWO_OCTET_AS and subtype == _LINK_BANDWIDTH_SUBTYPE
        if is_link and isfinite(bandwidth) and bandwidth >= 0:
            return LinkBandwidth(asn, bandwidth)
    return None


def _want_multiple(name: str, value: bytes, size: int) -> None:
    if not value or len(value) % size:
        raise BgpError(
            f"{name}: found {len(value)} bytes, want a nonzero multiple of {size}",
            ErrorCode.UPDATE_MESSAGE,
            UpdateError.OPTIONAL_ATTRIBUTE,
        )


class AttributeType(IntEnum):
    """Attribute type codes (RFC 4271 section 4.3, RFC 1997, RFC 4360, RFC 4760, RFC 8092)."""

    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MULTI_EXIT_DISC = 4
    LOCAL_PREF = 5
    COMMUNITIES = 8
    MP_REACH_NLRI = 14
    MP_UNREACH_NLRI = 15
    EXTENDED_COMMUNITIES = 16
    LARGE_COMMUNITY = 32


class SegmentKind(IntEnum):
    """Types of AS_PATH segments (RFC 4271, and RFC 5065 for confederations)."""

    SET = 1
    SEQUENCE = 2
    CONFED_SEQUENCE = 3
    CONFED_SET = 4


@dataclass(frozen=True, slots=True)
class AsSegment:
    """A segment of an AS_PATH: 1 to 255 AS numbers."""

    kind: SegmentKind
    asns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PathAttributes:
    """The attributes of a route in one session. ORIGIN and AS_PATH are mandatory."""

    origin: Origin
    """ORIGIN."""
    as_path: tuple[AsSegment, ...] = ()
    """AS_PATH; the attribute is present even if empty, as on routes from within our AS."""
    med: int | None = None
    """MULTI_EXIT_DISC; None: absent."""
    local_pref: int | None = None
    """LOCAL_PREF; None: absent."""
    communities: tuple[int, ...] = ()
    """COMMUNITIES, 32-bit values; empty: absent."""
    large_communities: tuple[tuple[int, int, int], ...] = ()
    """LARGE_COMMUNITY, triples of 32-bit values; empty: absent."""
    link_bandwidth: LinkBandwidth | None = None
    """Link bandwidth in EXTENDED_COMMUNITIES; None: absent."""


_ORIGINS = (Origin.IGP, Origin.EGP, Origin.INCOMPLETE)
"""Values of ORIGIN in the order of their numbers, from 0 (RFC 4271 section 5.1.1)."""

_OPTIONAL = 0x80
_TRANSITIVE = 0x40
_EXTENDED_LENGTH = 0x10

_FLAGS = {
    AttributeType.ORIGIN: _TRANSITIVE,
    AttributeType.AS_PATH: _TRANSITIVE,
    AttributeType.NEXT_HOP: _TRANSITIVE,
    AttributeType.MULTI_EXIT_DISC: _OPTIONAL,
    AttributeType.LOCAL_PREF: _TRANSITIVE,
    AttributeType.COMMUNITIES: _OPTIONAL | _TRANSITIVE,
    AttributeType.MP_REACH_NLRI: _OPTIONAL,
    AttributeType.MP_UNREACH_NLRI: _OPTIONAL,
    AttributeType.EXTENDED_COMMUNITIES: _OPTIONAL | _TRANSITIVE,
    AttributeType.LARGE_COMMUNITY: _OPTIONAL | _TRANSITIVE,
}


def encode_attribute(kind: AttributeType, value: bytes) -> bytes:
    """Encode one attribute: flags, type, length, value. Raises LocalProtocolError if too long."""
    if len(value) > 0xFFFF:
        raise LocalProtocolError(f"{kind.name} of {len(value)} bytes")
    if len(value) > 0xFF:
        header = bytes((_FLAGS[kind] | _EXTENDED_LENGTH, kind)) + len(value).to_bytes(2)
    else:
        header = bytes((_FLAGS[kind], kind, len(value)))
    return header + value


def encode_attributes(
    attributes: PathAttributes, *, four_octet: bool, next_hop: IPv4Address | None
) -> bytes:
    """Encode the attributes in ascending order of type.

    ``four_octet`` selects AS numbers of 4 octets, else 2. Without a ``next_hop`` there is no
    NEXT_HOP. Raises LocalProtocolError for an AS number that does not fit.
    """
    fields = [
        encode_attribute(AttributeType.ORIGIN, bytes((_ORIGINS.index(attributes.origin),))),
        encode_attribute(AttributeType.AS_PATH, _encode_path(attributes.as_path, four_octet)),
    ]
    if next_hop is not None:
        fields.append(encode_attribute(AttributeType.NEXT_HOP, next_hop.packed))
    if attributes.med is not None:
        fields.append(encode_attribute(AttributeType.MULTI_EXIT_DISC, attributes.med.to_bytes(4)))
    if attributes.local_pref is not None:
        value = attributes.local_pref.to_bytes(4)
        fields.append(encode_attribute(AttributeType.LOCAL_PREF, value))
    return b"".join(fields) + _encode_all_communities(attributes)


def _encode_all_communities(attributes: PathAttributes) -> bytes:
    fields = b""
    if attributes.communities:
        value = encode_communities(attributes.communities)
        fields += encode_attribute(AttributeType.COMMUNITIES, value)
    if attributes.link_bandwidth is not None:
        value = encode_link_bandwidth(attributes.link_bandwidth)
        fields += encode_attribute(AttributeType.EXTENDED_COMMUNITIES, value)
    if attributes.large_communities:
        value = encode_large_communities(attributes.large_communities)
        fields += encode_attribute(AttributeType.LARGE_COMMUNITY, value)
    return fields


@dataclass(frozen=True, slots=True)
class SplitAttributes:
    """Values by type code, also of unknown types, and the first error, if any.

    Of a truncated field, the values before the truncation.
    """

    values: Mapping[int, bytes]
    malformation: BgpError | None = None


def split_attributes(data: bytes) -> SplitAttributes:
    """Split the path attribute field. ``malformation`` is set for wrong lengths and wrong flags.

    Of a repeated attribute the first is used. Raises BgpError for a repeated multiprotocol
    attribute, since the affected prefixes are then ambiguous (RFC 7606 section 3g).
    """
    values: dict[int, bytes] = {}
    malformation: BgpError | None = None
    reader = Reader(data)
    try:
        while reader.remaining:
            flags, kind = reader.u8(), reader.u8()
            length = reader.u16() if flags & _EXTENDED_LENGTH else reader.u8()
            value = reader.take(length)
            if kind in values and kind in _MULTIPROTOCOL:
                raise _malformed(f"found {AttributeType(kind).name} twice, want it once")
            malformation = malformation or _flags_error(flags, kind, value)
            values.setdefault(kind, value)
    except TruncatedError as error:
        malformation = malformation or _malformed(f"path attributes: {error}")
    return SplitAttributes(values, malformation)


def decode_attributes(values: Mapping[int, bytes], *, four_octet: bool) -> PathAttributes:
    """Decode the attributes of a route. Raises BgpError for malformed and for missing ones."""
    for kind in (AttributeType.ORIGIN, AttributeType.AS_PATH):
        if kind not in values:
            raise BgpError(
                f"mandatory attribute {kind.name} is missing",
                ErrorCode.UPDATE_MESSAGE,
                UpdateError.MISSING_WELL_KNOWN,
                bytes((kind,)),
            )
    communities = values.get(AttributeType.COMMUNITIES)
    extended = values.get(AttributeType.EXTENDED_COMMUNITIES)
    large = values.get(AttributeType.LARGE_COMMUNITY)
    return PathAttributes(
        origin=_decode_origin(values[AttributeType.ORIGIN]),
        as_path=_decode_path(values[AttributeType.AS_PATH], four_octet),
        med=_decode_number(values, AttributeType.MULTI_EXIT_DISC),
        local_pref=_decode_number(values, AttributeType.LOCAL_PREF),
        communities=() if communities is None else decode_communities(communities),
        large_communities=() if large is None else decode_large_communities(large),
        link_bandwidth=None if extended is None else decode_link_bandwidth(extended),
    )


_MULTIPROTOCOL = (AttributeType.MP_REACH_NLRI, AttributeType.MP_UNREACH_NLRI)


def _flags_error(flags: int, kind: int, value: bytes) -> BgpError | None:
    significant = _OPTIONAL | _TRANSITIVE
    if kind in _FLAGS and flags & significant != _FLAGS[AttributeType(kind)]:
        message = f"attribute {AttributeType(kind).name}: found flags {flags:#04x}"
        subcode = UpdateError.ATTRIBUTE_FLAGS
    elif kind not in _FLAGS and not flags & _OPTIONAL and kind not in _WELL_KNOWN_UNUSED:
        message = f"unrecognized well-known attribute {kind}"
        subcode = UpdateError.UNRECOGNIZED_WELL_KNOWN
    else:
        return None
    length = len(value).to_bytes(2 if flags & _EXTENDED_LENGTH else 1)
    return _malformed(message, subcode, bytes((flags, kind)) + length + value)


_WELL_KNOWN_UNUSED = frozenset({6})
"""ATOMIC_AGGREGATE: well-known, but not decoded, since nothing uses it."""


def _encode_path(path: tuple[AsSegment, ...], four_octet: bool) -> bytes:
    width = 4 if four_octet else 2
    try:
        return b"".join(
            bytes((segment.kind, len(segment.asns)))
            + b"".join(asn.to_bytes(width) for asn in segment.asns)
            for segment in path
        )
    except (OverflowError, ValueError) as error:
        raise LocalProtocolError(f"AS_PATH does not fit {width}-octet numbers: {path}") from error


def _decode_path(value: bytes, four_octet: bool) -> tuple[AsSegment, ...]:
    segments = []
    reader = Reader(value)
    try:
        while reader.remaining:
            kind, count = SegmentKind(reader.u8()), reader.u8()
            read = reader.u32 if four_octet else reader.u16
            segments.append(AsSegment(kind, tuple(read() for _ in range(count))))
    except (TruncatedError, ValueError) as error:
        raise _malformed(f"AS_PATH: {error}", UpdateError.MALFORMED_AS_PATH) from error
    if not all(segment.asns for segment in segments):
        raise _malformed("AS_PATH: empty segment", UpdateError.MALFORMED_AS_PATH)
    return tuple(segments)


def _decode_origin(value: bytes) -> Origin:
    _want_length(AttributeType.ORIGIN, value, 1)
    try:
        return _ORIGINS[value[0]]
    except IndexError as error:
        raise _malformed(f"ORIGIN: found {value[0]}", UpdateError.INVALID_ORIGIN) from error


def _decode_number(values: Mapping[int, bytes], kind: AttributeType) -> int | None:
    if kind not in values:
        return None
    _want_length(kind, values[kind], 4)
    return int.from_bytes(values[kind])


def _want_length(kind: AttributeType, value: bytes, length: int) -> None:
    if len(value) != length:
        raise _malformed(
            f"{kind.name}: found {len(value)} bytes, want {length}", UpdateError.ATTRIBUTE_LENGTH
        )


def _malformed(
    message: str, subcode: UpdateError = UpdateError.MALFORMED_ATTRIBUTE_LIST, data: bytes = b""
) -> BgpError:
    return BgpError(message, ErrorCode.UPDATE_MESSAGE, subcode, data)
