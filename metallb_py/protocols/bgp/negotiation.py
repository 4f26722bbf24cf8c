"""The terms of a session: what both OPEN messages together amount to (RFC 4271 section 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bgp.attributes import Origin
from metallb_py.protocols.bgp.capabilities import (
    FourOctetAsn,
    Multiprotocol,
    RouteRefresh,
    encode_capabilities,
)
from metallb_py.protocols.bgp.codes import AddressFamily, BgpError, ErrorCode, OpenError
from metallb_py.protocols.bgp.messages import Open, two_octet


class Dynamic(Enum):
    """Which AS a peer may be of, where its number is not given."""

    INTERNAL = auto()
    EXTERNAL = auto()


@dataclass(frozen=True, slots=True)
class Settings:
    """Our side of a session. Times are in seconds; a hold time of 0 asks for no timers.

    ``peer_asn`` None takes whoever comes, or whom ``dynamic`` allows. ``keepalive_time`` None, or
    0, means a third of the hold time. ``connect_time`` None means MetalLB's growing delays
    between attempts. ``restart_time`` is how long the peer is to keep our routes when we are gone
    without a word; None offers no graceful restart (RFC 4724). ``next_hops`` are at most one of
    each family, and count instead of the session's own addresses.
    """

    local_asn: int
    peer_asn: int | None
    hold_time: int = 90
    keepalive_time: int | None = None
    connect_time: int | None = None
    dynamic: Dynamic | None = None
    origin: Origin = Origin.INCOMPLETE
    families: frozenset[AddressFamily] = frozenset(AddressFamily)
    next_hops: tuple[IPAddress, ...] = ()
    restart_time: int | None = None
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session runs on. Times are in seconds, 0 stands for never.

    ``restart_time`` is how long the peer keeps our routes when we are gone without a word, None
    if not at all (RFC 4724); ``routes_survive_notifications`` whether it also keeps them when we
    are gone with one, unless that is a hard reset (RFC 8538).
    """

    local_asn: int
    peer_asn: int
    peer_router_id: IPv4Address
    hold_time: int
    keepalive_time: float
    four_octet: bool
    families: frozenset[AddressFamily]
    restart_time: int | None = None
    routes_survive_notifications: bool = False

    @property
    def internal(self) -> bool:
        """Whether both sides are in one AS (iBGP)."""
        return self.local_asn == self.peer_asn


def our_open(settings: Settings, router_id: IPv4Address) -> Open:
    """Return the OPEN that we send: MetalLB's, and that we can re-send routes when asked."""
    return Open(
        my_as=two_octet(settings.local_asn),
        hold_time=settings.hold_time,
        router_id=router_id,
        capabilities=(
            Multiprotocol(AddressFamily.IPV4),
            Multiprotocol(AddressFamily.IPV6),
            RouteRefresh(),
            FourOctetAsn(settings.local_asn),
        ),
    )


def negotiate(settings: Settings, router_id: IPv4Address, theirs: Open) -> Terms:
    """Combine both OPENs. Raises BgpError where the peer is not the one we want or can talk to."""
    _check_identity(settings, router_id, theirs)
    if theirs.hold_time in (1, 2):
        raise _refusal(
            f"found a hold time of {theirs.hold_time} s, want 0 or at least 3",
            OpenError.UNACCEPTABLE_HOLD_TIME,
        )
    four_octet = any(isinstance(c, FourOctetAsn) for c in theirs.capabilities)
    if not four_octet and settings.local_asn > 0xFFFF:
        raise _refusal(
            "peer does not support 4-byte ASNs",
            OpenError.UNSUPPORTED_CAPABILITY,
            encode_capabilities((FourOctetAsn(settings.local_asn),)),
        )
    hold_time = min(settings.hold_time, theirs.hold_time)
    keepalive_time = hold_time / 3
    if settings.keepalive_time:  # without any, no session would outlive its hold time
        keepalive_time = min(keepalive_time, settings.keepalive_time)
    offered = {c.family for c in theirs.capabilities if isinstance(c, Multiprotocol)}
    return Terms(
        local_asn=settings.local_asn,
        peer_asn=theirs.asn,
        peer_router_id=theirs.router_id,
        hold_time=hold_time,
        keepalive_time=keepalive_time,
        four_octet=four_octet,
        # Who offers no family at all predates RFC 4760, and means IPv4.
        families=frozenset(offered or {AddressFamily.IPV4}),
    )


def _check_identity(settings: Settings, router_id: IPv4Address, theirs: Open) -> None:
    wanted = settings.peer_asn
    if theirs.asn == 0 or wanted not in (None, theirs.asn):
        raise _refusal(f"unexpected peer ASN {theirs.asn}, want {wanted}", OpenError.BAD_PEER_AS)
    same = theirs.router_id == router_id and theirs.asn == settings.local_asn
    if int(theirs.router_id) == 0 or same:  # RFC 6286 section 2.2
        raise _refusal(
            f"peer's router ID {theirs.router_id} is {'ours too' if same else 'not valid'}",
            OpenError.BAD_IDENTIFIER,
        )


def _refusal(message: str, subcode: OpenError, data: bytes = b"") -> BgpError:
    return BgpError(message, ErrorCode.OPEN_MESSAGE, subcode, data)
