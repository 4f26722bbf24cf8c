"""The capabilities of an OPEN message (RFC 5492).

Those that we know have a class each; any other is kept as it came, since a speaker ignores
what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from metallb_py.protocols.bgp.codes import UNICAST, AddressFamily, BgpError, ErrorCode
from metallb_py.protocols.wire import Reader, TruncatedError

_MULTIPROTOCOL = 1
_ROUTE_REFRESH = 2
_FOUR_OCTET_ASN = 65


@dataclass(frozen=True, slots=True)
class Multiprotocol:
    """Unicast routes of this family may be exchanged (RFC 4760)."""

    family: AddressFamily


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """The sender understands ROUTE-REFRESH messages (RFC 2918)."""


@dataclass(frozen=True, slots=True)
class FourOctetAsn:
    """The sender's whole AS number, and that its AS_PATHs hold such numbers (RFC 6793)."""

    asn: int


@dataclass(frozen=True, slots=True)
class OtherCapability:
    """A capability that this package gives no meaning to."""

    code: int
    value: bytes


Capability = Multiprotocol | RouteRefresh | FourOctetAsn | OtherCapability


def encode_capabilities(capabilities: tuple[Capability, ...]) -> bytes:
    """Encode as triples of code, length and value. Each value takes at most 255 bytes."""
    return b"".join(_encode(capability) for capability in capabilities)


def decode_capabilities(data: bytes) -> Iterator[Capability]:
    """Decode the value of one capabilities parameter.

    Raises BgpError where a length does not fit; the RFC names no subcode for it.
    """
    reader = Reader(data)
    try:
        while reader.remaining:
            code = reader.u8()
            yield _decode(code, reader.take(reader.u8()))
    except TruncatedError as error:
        raise _malformed(f"capabilities: {error}") from error


def _encode(capability: Capability) -> bytes:
    match capability:
        case Multiprotocol(family):
            return _triple(_MULTIPROTOCOL, bytes((0, family, 0, UNICAST)))
        case RouteRefresh():
            return _triple(_ROUTE_REFRESH, b"")
        case FourOctetAsn(asn):
            return _triple(_FOUR_OCTET_ASN, asn.to_bytes(4))
        case OtherCapability(code, value):
            return _triple(code, value)
    assert_never(capability)


def _triple(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def _decode(code: int, value: bytes) -> Capability:
    match code:
        case 1:
            return _decode_multiprotocol(value)
        case 2:
            _want_length("route refresh", value, 0)
            return RouteRefresh()
        case 65:
            _want_length("4-octet AS number", value, 4)
            return FourOctetAsn(int.from_bytes(value))
        case _:
            return OtherCapability(code, value)


def _decode_multiprotocol(value: bytes) -> Capability:
    _want_length("multiprotocol", value, 4)
    family, unicast = int.from_bytes(value[:2]), value[3] == UNICAST
    # The third byte is reserved and ignored by the receiver (RFC 4760 section 8).
    if unicast and family in (AddressFamily.IPV4, AddressFamily.IPV6):
        return Multiprotocol(AddressFamily(family))
    return OtherCapability(_MULTIPROTOCOL, value)


def _want_length(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise _malformed(f"{name} capability: found {len(value)} bytes, want {length}")


def _malformed(message: str) -> BgpError:
    return BgpError(message, ErrorCode.OPEN_MESSAGE)
