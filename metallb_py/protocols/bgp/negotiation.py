"""The terms of a session: what both OPEN messages together amount to (RFC 4271 section 6.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from ipaddress import IPv4Address

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bgp.codec.attributes import Origin
from metallb_py.protocols.bgp.codec.capabilities import (
    IPV4_OVER_IPV6,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAsn,
    GracefulRestart,
    Hostname,
    Multiprotocol,
    RestartFamily,
    RouteRefresh,
    encode_capabilities,
)
from metallb_py.protocols.bgp.codec.codes import AddressFamily, BgpError, ErrorCode, OpenError
from metallb_py.protocols.bgp.codec.framing import MAX_EXTENDED_LENGTH, MAX_LENGTH
from metallb_py.protocols.bgp.codec.messages import Open, two_octet


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
    without a word; None offers no graceful restart (RFC 4724); with ``keeps_forwarding`` packets
    went on being forwarded while we were gone. ``next_hops`` are at most one of
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
    keeps_forwarding: bool = False
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session runs on. Times are in seconds, 0 stands for never.

    ``restart_time`` is how long the peer keeps our routes when we are gone without a word, None
    if not at all (RFC 4724); ``routes_survive_notifications`` whether it also keeps them when we
    are gone with one, unless that is a hard reset (RFC 8538). ``peer_restart`` is what the peer
    says of its own restarts. ``max_length`` is that of one message in either direction.
    ``extended_next_hop``: IPv4 prefixes may have IPv6 next hops (RFC 8950). ``enhanced_refresh``:
    what is sent again is bracketed (RFC 7313).
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
    peer_restart: GracefulRestart | None = None
    max_length: int = MAX_LENGTH
    extended_next_hop: bool = False
    route_refresh: bool = False
    enhanced_refresh: bool = False
    peer_hostname: str = ""

    @property
    def internal(self) -> bool:
        """Whether both sides are in one AS (iBGP)."""
        return self.local_asn == self.peer_asn


def our_open(
    settings: Settings,
    router_id: IPv4Address,
    *,
    restarting: bool = False,
    forwarding: bool = False,
    ipv4_over_ipv6: bool = False,
    bare: bool = False,
) -> Open:
    """Return the OPEN that we send: MetalLB's, and what we can do beyond that.

    ``restarting``: this daemon had sessions before, and asks its peers to go on as if it had them
    still; ``forwarding``: what they sent has been forwarded meanwhile (RFC 4724).
    ``ipv4_over_ipv6``: IPv4 prefixes may need IPv6 next hops (RFC 8950).

    A ``bare`` OPEN is for peers that refuse the capabilities they do not know: it has no more of
    them than 4-octet AS numbers, where without that we could not say who we are (RFC 5492
    section 3).
    """
    asn = settings.local_asn
    if bare:
        capabilities: tuple[Capability, ...] = (FourOctetAsn(asn),) if asn > 0xFFFF else ()
    else:
        capabilities = (
            *_offer(settings, ipv4_over_ipv6=ipv4_over_ipv6),
            *_offer_restart(settings, restarting=restarting, forwarding=forwarding),
        )
    return Open(two_octet(asn), settings.hold_time, router_id, capabilities)


def _offer(settings: Settings, *, ipv4_over_ipv6: bool) -> Iterator[Capability]:
    yield from map(Multiprotocol, sorted(settings.families))
    yield RouteRefresh()
    yield FourOctetAsn(settings.local_asn)
    yield EnhancedRouteRefresh()
    yield ExtendedMessage()
    if ipv4_over_ipv6 and AddressFamily.IPV4 in settings.families:
        yield ExtendedNextHop()
    if settings.hostname:
        yield Hostname(settings.hostname)


def _offer_restart(
    settings: Settings, *, restarting: bool, forwarding: bool
) -> Iterator[GracefulRestart]:
    if settings.restart_time is None:
        return
    kept = tuple(RestartFamily(f, forwarding=forwarding) for f in sorted(settings.families))
    yield GracefulRestart(settings.restart_time, restarting, notifications=True, families=kept)


def negotiate(settings: Settings, ours: Open, theirs: Open) -> Terms:
    """Combine both OPENs. Raises BgpError where the peer is not the one we want or can talk to."""
    _check_identity(settings, ours, theirs)
    if theirs.hold_time in (1, 2):
        raise _refusal(
            f"found a hold time of {theirs.hold_time} s, want 0 or at least 3",
            OpenError.UNACCEPTABLE_HOLD_TIME,
        )
    if settings.local_asn > 0xFFFF and not _has(theirs, FourOctetAsn):
        raise _refusal(
            "peer does not support 4-byte ASNs",
            OpenError.UNSUPPORTED_CAPABILITY,
            encode_capabilities((FourOctetAsn(settings.local_asn),)),
        )
    hold_time = min(ours.hold_time, theirs.hold_time)
    keepalive_time = hold_time / 3
    if settings.keepalive_time:  # without any, no session would outlive its hold time
        keepalive_time = min(keepalive_time, settings.keepalive_time)
    terms = Terms(
        local_asn=settings.local_asn,
        peer_asn=theirs.asn,
        peer_router_id=theirs.router_id,
        hold_time=hold_time,
        keepalive_time=keepalive_time,
        four_octet=_both(ours, theirs, FourOctetAsn),
        families=_families(ours) & _families(theirs),
        max_length=MAX_EXTENDED_LENGTH if _both(ours, theirs, ExtendedMessage) else MAX_LENGTH,
        extended_next_hop=_speaks_v4_over_v6(ours) and _speaks_v4_over_v6(theirs),
        route_refresh=_both(ours, theirs, RouteRefresh),
        enhanced_refresh=_both(ours, theirs, EnhancedRouteRefresh),
        peer_hostname=next((c.host for c in theirs.capabilities if isinstance(c, Hostname)), ""),
    )
    return _with_restarts(terms, _restarts(ours), _restarts(theirs))


def _with_restarts(
    terms: Terms, ours: GracefulRestart | None, theirs: GracefulRestart | None
) -> Terms:
    if ours is None or theirs is None:
        return terms
    return replace(
        terms,
        restart_time=ours.time,
        routes_survive_notifications=ours.notifications and theirs.notifications,
        peer_restart=theirs,
    )


def _has(side: Open, kind: type[Capability]) -> bool:
    return any(isinstance(capability, kind) for capability in side.capabilities)


def _both(ours: Open, theirs: Open, kind: type[Capability]) -> bool:
    return _has(ours, kind) and _has(theirs, kind)


def _families(side: Open) -> frozenset[AddressFamily]:
    offered = {c.family for c in side.capabilities if isinstance(c, Multiprotocol)}
    # Who offers no family at all predates RFC 4760, and means IPv4.
    return frozenset(offered or {AddressFamily.IPV4})


def _speaks_v4_over_v6(side: Open) -> bool:
    offered = (c.encodings for c in side.capabilities if isinstance(c, ExtendedNextHop))
    return any(IPV4_OVER_IPV6 in encodings for encodings in offered)


def _restarts(side: Open) -> GracefulRestart | None:
    offered = [c for c in side.capabilities if isinstance(c, GracefulRestart)]
    return offered[-1] if offered else None  # the last one counts (RFC 4724 section 3)


def _check_identity(settings: Settings, ours: Open, theirs: Open) -> None:
    wanted = _wanted_asn(settings, theirs.asn)
    if wanted:
        raise _refusal(f"unexpected peer ASN {theirs.asn}, want {wanted}", OpenError.BAD_PEER_AS)
    same = theirs.router_id == ours.router_id and theirs.asn == settings.local_asn
    if int(theirs.router_id) == 0 or same:  # RFC 6286 section 2.2
        raise _refusal(
            f"peer's router ID {theirs.router_id} is {'ours too' if same else 'not valid'}",
            OpenError.BAD_IDENTIFIER,
        )


def _wanted_asn(settings: Settings, found: int) -> str:
    """Say which AS number would have been right, if this one is not."""
    if settings.peer_asn is not None:
        return "" if found == settings.peer_asn != 0 else str(settings.peer_asn)
    local = settings.local_asn
    match settings.dynamic:
        case Dynamic.INTERNAL if found != local:
            return f"{local}, ours"
        case Dynamic.EXTERNAL if found in (0, local):
            return f"another than ours, {local}"
        case _:
            return "" if found else "any but that"


def describe(terms: Terms) -> str:
    """Say in words what was agreed, for the log: what is not named was not."""
    return ", ".join(_describe(terms))


def _describe(terms: Terms) -> Iterator[str]:
    families = " and ".join(_FAMILY_WORDS[family] for family in sorted(terms.families))
    yield f"{families} unicast" if families else "no family in common"
    yield f"hold time {terms.hold_time} s" if terms.hold_time else "no hold time"
    for agreed, words in (
        (terms.four_octet, "4-byte ASNs"),
        (
            terms.route_refresh,
            "enhanced route refresh" if terms.enhanced_refresh else "route refresh",
        ),
        (terms.extended_next_hop, "IPv4 with IPv6 next hops"),
        (terms.max_length > MAX_LENGTH, f"messages of up to {terms.max_length} bytes"),
    ):
        if agreed:
            yield words
    if terms.restart_time is not None:
        survive = ", NOTIFICATIONs included" if terms.routes_survive_notifications else ""
        yield f"graceful restart {terms.restart_time} s{survive}"
    if terms.peer_restart is not None and terms.peer_restart.restarting:
        yield "peer has restarted"
    if name := "".join(c if c.isprintable() else "?" for c in terms.peer_hostname):
        yield f'peer calls itself "{name}"'


_FAMILY_WORDS = {AddressFamily.IPV4: "IPv4", AddressFamily.IPV6: "IPv6"}


def _refusal(message: str, subcode: OpenError, data: bytes = b"") -> BgpError:
    return BgpError(message, ErrorCode.OPEN_MESSAGE, subcode, data)
