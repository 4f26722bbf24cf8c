"""Values of the community attributes: RFC 1997, RFC 4360 (extended) and RFC 8092 (large)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from struct import Struct

from metallb_py.protocols.bgp.codec.codes import AS_TRANS, BgpError, ErrorCode, UpdateError

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
