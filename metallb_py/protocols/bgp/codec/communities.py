"""The three kinds of communities: RFC 1997, RFC 4360 and RFC 8092."""

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
    """The extended community by which routers weigh paths (RFC 10005).

    ``bytes_per_second`` is a float of four bytes on the wire; ``asn`` one of two.
    """

    asn: int
    bytes_per_second: float


def encode_communities(communities: tuple[int, ...]) -> bytes:
    """Encode the value of COMMUNITIES."""
    return b"".join(community.to_bytes(4) for community in communities)


def decode_communities(value: bytes) -> tuple[int, ...]:
    """Decode it. Raises BgpError (RFC 7606 section 7.8)."""
    _want_multiple("COMMUNITIES", value, 4)
    return tuple(int.from_bytes(value[at : at + 4]) for at in range(0, len(value), 4))


def encode_large_communities(communities: tuple[tuple[int, int, int], ...]) -> bytes:
    """Encode the value of LARGE_COMMUNITY."""
    return b"".join(_LARGE.pack(*community) for community in communities)


def decode_large_communities(value: bytes) -> tuple[tuple[int, int, int], ...]:
    """Decode it, each once. Raises BgpError (RFC 8092 sections 3 and 6)."""
    _want_multiple("LARGE_COMMUNITY", value, _LARGE.size)
    return tuple(dict.fromkeys(_LARGE.iter_unpack(value)))


def encode_link_bandwidth(link: LinkBandwidth) -> bytes:
    """Encode the one extended community that we send."""
    asn = link.asn if link.asn <= 0xFFFF else AS_TRANS
    return _LINK_BANDWIDTH.pack(
        _NON_TRANSITIVE | _TWO_OCTET_AS, _LINK_BANDWIDTH_SUBTYPE, asn, link.bytes_per_second
    )


def decode_link_bandwidth(value: bytes) -> LinkBandwidth | None:
    """Find it in the value of EXTENDED_COMMUNITIES. Raises BgpError (RFC 7606 section 7.14).

    Other extended communities mean nothing to us, and neither does a bandwidth that is none.
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
            f"{name}: found {len(value)} bytes, want a multiple of {size}, and some",
            ErrorCode.UPDATE_MESSAGE,
            UpdateError.OPTIONAL_ATTRIBUTE,
        )
