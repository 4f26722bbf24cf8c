"""Capabilities of an OPEN message (RFC 5492).

Each supported capability has a class; any other is kept undecoded, since a BGP speaker ignores
unknown capabilities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from metallb_py.addresses import AddressFamily
from metallb_py.protocols.bgp.codec.codes import UNICAST, BgpError, ErrorCode
from metallb_py.protocols.byte_reader import Reader, TruncatedError

_MULTIPROTOCOL = 1
_ROUTE_REFRESH = 2
_EXTENDED_NEXT_HOP = 5
_EXTENDED_MESSAGE = 6
_GRACEFUL_RESTART = 64
_FOUR_OCTET_ASN = 65
_ENHANCED_ROUTE_REFRESH = 70
_HOSTNAME = 73

_RESTARTING = 0x8000
_NOTIFICATIONS = 0x4000
_FORWARDING = 0x80

MAX_RESTART_TIME = 0x0FFF
"""Most seconds that the Restart Time field holds (RFC 4724 section 3)."""

_MAX_NAME = 64
"""Most bytes of a host name in our OPEN: Linux' own limit, and below that of the capability."""


@dataclass(frozen=True, slots=True)
class Multiprotocol:
    """The sender exchanges unicast routes of this family (RFC 4760)."""

    family: AddressFamily


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """The sender supports ROUTE-REFRESH messages (RFC 2918)."""


@dataclass(frozen=True, slots=True)
class FourOctetAsn:
    """The sender's 4-octet AS number; it supports such numbers in AS_PATH (RFC 6793)."""

    asn: int


@dataclass(frozen=True, slots=True)
class EnhancedRouteRefresh:
    """The sender encloses refreshed routes by BoRR and EoRR (RFC 7313)."""


@dataclass(frozen=True, slots=True)
class ExtendedMessage:
    """The sender accepts messages of up to 65535 bytes (RFC 8654)."""


@dataclass(frozen=True, slots=True)
class NextHopEncoding:
    """A family (AFI and SAFI) with the AFI that its next hops may have, as numbers (RFC 8950)."""

    family: int
    subsequent: int
    next_hop: int


IPV4_OVER_IPV6 = NextHopEncoding(AddressFamily.IPV4, UNICAST, AddressFamily.IPV6)
"""IPv4 unicast prefixes with IPv6 next hops."""


@dataclass(frozen=True, slots=True)
class ExtendedNextHop:
    """The next hops that the sender supports besides those of a family's own kind (RFC 8950)."""

    encodings: tuple[NextHopEncoding, ...] = (IPV4_OVER_IPV6,)


@dataclass(frozen=True, slots=True)
class RestartFamily:
    """A family (AFI and SAFI, as numbers) whose routes are retained while the sender restarts.

    ``forwarding`` is the Forwarding State bit: the sender preserved its forwarding state.
    """

    family: int
    subsequent: int = UNICAST
    forwarding: bool = False


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """The sender supports graceful restart (RFC 4724)."""

    time: int
    """Restart Time: seconds for which the sender's restart may last, 0 to MAX_RESTART_TIME."""
    restarting: bool = False
    """Restart State bit: the sender has restarted."""
    notifications: bool = False
    """N bit: graceful restart applies after a NOTIFICATION, too (RFC 8538)."""
    families: tuple[RestartFamily, ...] = ()
    """Families to retain; with none the sender only helps other speakers to restart."""


@dataclass(frozen=True, slots=True)
class Hostname:
    """The sender's host name, for display (draft-walton-bgp-hostname-capability)."""

    host: str
    domain: str = ""


@dataclass(frozen=True, slots=True)
class OtherCapability:
    """A capability that is unknown, or whose value could not be decoded."""

    code: int
    value: bytes


Capability = (
    Multiprotocol
    | RouteRefresh
    | EnhancedRouteRefresh
    | ExtendedMessage
    | ExtendedNextHop
    | GracefulRestart
    | FourOctetAsn
    | Hostname
    | OtherCapability
)


def encode_capabilities(capabilities: tuple[Capability, ...]) -> bytes:
    """Encode as triples of code, length and value. Each value must have at most 255 bytes."""
    return b"".join(_encode(capability) for capability in capabilities)


def decode_capabilities(data: bytes) -> Iterator[Capability]:
    """Decode the value of one capabilities parameter.

    Raises BgpError for a wrong length; the RFC specifies no subcode for it. A malformed optional
    capability is treated as absent (OtherCapability).
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
        case EnhancedRouteRefresh():
            return _triple(_ENHANCED_ROUTE_REFRESH, b"")
        case ExtendedMessage():
            return _triple(_EXTENDED_MESSAGE, b"")
        case FourOctetAsn(asn):
            return _triple(_FOUR_OCTET_ASN, asn.to_bytes(4))
        case OtherCapability(code, value):
            return _triple(code, value)
        case _:
            return _encode_structured(capability)


def _encode_structured(capability: ExtendedNextHop | GracefulRestart | Hostname) -> bytes:
    match capability:
        case ExtendedNextHop(encodings):
            return _triple(_EXTENDED_NEXT_HOP, b"".join(_encode_next_hop(e) for e in encodings))
        case GracefulRestart(time, restarting, notifications, families):
            flags = _RESTARTING * restarting | _NOTIFICATIONS * notifications
            value = (flags | min(time, MAX_RESTART_TIME)).to_bytes(2)
            return _triple(_GRACEFUL_RESTART, value + b"".join(map(_encode_restart, families)))
        case Hostname(host, domain):
            return _triple(_HOSTNAME, _encode_name(host) + _encode_name(domain))
    assert_never(capability)


def _encode_next_hop(encoding: NextHopEncoding) -> bytes:
    numbers = (encoding.family, encoding.subsequent, encoding.next_hop)
    return b"".join(number.to_bytes(2) for number in numbers)


def _encode_restart(family: RestartFamily) -> bytes:
    flags = _FORWARDING * family.forwarding
    return family.family.to_bytes(2) + bytes((family.subsequent, flags))


def _encode_name(name: str) -> bytes:
    """Encode the name after its length; a longer name is truncated between characters."""
    data = name.encode()[:_MAX_NAME].decode(errors="ignore").encode()
    return bytes((len(data),)) + data


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
            return _decode_optional(code, value) or OtherCapability(code, value)


def _decode_optional(code: int, value: bytes) -> Capability | None:
    """Decode a capability that a session can do without; return None if unknown or malformed."""
    match code, len(value):
        case 5, length if length % 6 == 0:
            fields = (value[at : at + 6] for at in range(0, length, 6))
            return ExtendedNextHop(tuple(map(_decode_next_hop, fields)))
        case 6, 0:
            return ExtendedMessage()
        case 64, length if length % 4 == 2:
            return _decode_graceful_restart(value)
        case 70, 0:
            return EnhancedRouteRefresh()
        case 73, _:
            return _decode_hostname(value)
        case _:
            return None


def _decode_next_hop(field: bytes) -> NextHopEncoding:
    family, subsequent, next_hop = (int.from_bytes(field[at : at + 2]) for at in (0, 2, 4))
    return NextHopEncoding(family, subsequent, next_hop)


def _decode_graceful_restart(value: bytes) -> GracefulRestart:
    flags = int.from_bytes(value[:2])
    return GracefulRestart(
        time=flags & MAX_RESTART_TIME,
        restarting=bool(flags & _RESTARTING),
        notifications=bool(flags & _NOTIFICATIONS),
        families=tuple(
            RestartFamily(
                int.from_bytes(value[at : at + 2]), value[at + 2], bool(value[at + 3] & _FORWARDING)
            )
            for at in range(2, len(value), 4)
        ),
    )


def _decode_hostname(value: bytes) -> Hostname | None:
    reader = Reader(value)
    try:
        host, domain = (reader.take(reader.u8()).decode("utf-8", "replace") for _ in range(2))
    except TruncatedError:
        return None
    return Hostname(host, domain)


def _decode_multiprotocol(value: bytes) -> Capability:
    _want_length("multiprotocol", value, 4)
    family, unicast = int.from_bytes(value[:2]), value[3] == UNICAST
    # The third byte is reserved, and the receiver ignores it (RFC 4760 section 8).
    if unicast and family in (AddressFamily.IPV4, AddressFamily.IPV6):
        return Multiprotocol(AddressFamily(family))
    return OtherCapability(_MULTIPROTOCOL, value)


def _want_length(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise _malformed(f"{name} capability: found {len(value)} bytes, want {length}")


def _malformed(message: str) -> BgpError:
    return BgpError(message, ErrorCode.OPEN_MESSAGE)
