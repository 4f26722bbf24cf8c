"""Negotiation of a session: our OPEN, and the parameters that result from both (RFC 4271 6.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from metallb_py.addresses import AddressFamily
from metallb_py.model.peers import DynamicAsn, SessionParameters
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
from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode, OpenError
from metallb_py.protocols.bgp.codec.framing import MAX_EXTENDED_LENGTH, MAX_LENGTH
from metallb_py.protocols.bgp.codec.messages import Open, two_octet

RESTART_TIME = 120
"""Restart time (RFC 4724) in seconds, for which a peer is asked to keep our routes, as by FRR."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Our side of a session: what is configured, and what only this process knows."""

    parameters: SessionParameters
    restart_time: int = RESTART_TIME
    """Seconds for which the peer is to retain our routes after a loss of the connection.

    It is offered with the parameters' ``graceful_restart`` alone (RFC 4724)."""
    keeps_forwarding: bool = False
    """Whether packets were forwarded during our restart (Forwarding State bit, RFC 4724)."""
    hostname: str = ""
    """Host name for the peer's operator; none is offered where it is empty."""


@dataclass(frozen=True, slots=True)
class NegotiatedSession:
    """Parameters of a session, as negotiated by both OPEN messages."""

    local_asn: int
    """Our AS number."""
    peer_asn: int
    """The peer's AS number, from its 4-octet AS number capability where it sent one."""
    peer_router_id: IPv4Address
    """The peer's BGP Identifier."""
    hold_time: int
    """Seconds without a message from the peer after which the session ends; 0: never."""
    keepalive_time: float
    """Seconds between our KEEPALIVEs; 0: none are sent."""
    four_octet: bool
    """Whether AS numbers in AS_PATH have 4 octets (RFC 6793)."""
    families: frozenset[AddressFamily]
    """Families that both sides offered."""
    restart_time: int | None = None
    """Seconds for which the peer retains our routes after a loss of the connection (RFC 4724).

    None where it does not retain them."""
    routes_survive_notifications: bool = False
    """Whether it also retains them after a NOTIFICATION other than a Hard Reset (RFC 8538)."""
    peer_restart: GracefulRestart | None = None
    """The peer's own graceful restart capability."""
    max_length: int = MAX_LENGTH
    """Most bytes of one message in either direction."""
    extended_next_hop: bool = False
    """Whether IPv4 prefixes may have IPv6 next hops (RFC 8950)."""
    route_refresh: bool = False
    """Whether ROUTE-REFRESH messages may be sent (RFC 2918)."""
    enhanced_refresh: bool = False
    """Whether refreshed routes are enclosed by BoRR and EoRR (RFC 7313)."""
    peer_hostname: str = ""
    """The peer's host name; untrusted text."""

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
    omit_capabilities: bool = False,
) -> Open:
    """Return our OPEN: MetalLB's, with further capabilities.

    ``restarting``: no End-of-RIB was sent yet since this speaker started, so the peer is asked to
    retain the routes of an earlier session; ``forwarding``: packets were forwarded during the
    restart (both RFC 4724). ``ipv4_over_ipv6``: IPv4 prefixes may need IPv6 next hops (RFC 8950).

    ``omit_capabilities`` is for peers that reject unknown capabilities (RFC 5492 section 3): the
    OPEN then has none but the 4-octet AS number, and that only if our AS number needs it.
    """
    parameters = settings.parameters
    asn = parameters.local_asn
    if omit_capabilities:
        capabilities: tuple[Capability, ...] = (FourOctetAsn(asn),) if asn > 0xFFFF else ()
    else:
        capabilities = (
            *_offer(settings, ipv4_over_ipv6=ipv4_over_ipv6),
            *_offer_restart(settings, restarting=restarting, forwarding=forwarding),
        )
    return Open(two_octet(asn), parameters.hold_time, router_id, capabilities)


def _offer(settings: Settings, *, ipv4_over_ipv6: bool) -> Iterator[Capability]:
    parameters = settings.parameters
    yield from map(Multiprotocol, sorted(parameters.address_families))
    yield RouteRefresh()
    yield FourOctetAsn(parameters.local_asn)
    yield EnhancedRouteRefresh()
    yield ExtendedMessage()
    if ipv4_over_ipv6 and AddressFamily.IPV4 in parameters.address_families:
        yield ExtendedNextHop()
    if settings.hostname:
        yield Hostname(settings.hostname)


def _offer_restart(
    settings: Settings, *, restarting: bool, forwarding: bool
) -> Iterator[GracefulRestart]:
    if not settings.parameters.graceful_restart:
        return
    families = sorted(settings.parameters.address_families)
    kept = tuple(RestartFamily(family, forwarding=forwarding) for family in families)
    yield GracefulRestart(settings.restart_time, restarting, notifications=True, families=kept)


def negotiate(parameters: SessionParameters, ours: Open, theirs: Open) -> NegotiatedSession:
    """Combine both OPENs. Raises BgpError where the peer is not the configured one or unusable."""
    _check_identity(parameters, ours, theirs)
    if theirs.hold_time in (1, 2):
        raise _refusal(
            f"found a hold time of {theirs.hold_time} s, want 0 or at least 3",
            OpenError.UNACCEPTABLE_HOLD_TIME,
        )
    if parameters.local_asn > 0xFFFF and not _has(theirs, FourOctetAsn):
        raise _refusal(
            "peer does not support 4-byte ASNs",
            OpenError.UNSUPPORTED_CAPABILITY,
            encode_capabilities((FourOctetAsn(parameters.local_asn),)),
        )
    hold_time = min(ours.hold_time, theirs.hold_time)
    keepalive_time = hold_time / 3
    if parameters.keepalive_time:  # 0 must not turn KEEPALIVEs off: the peer's HoldTimer expires
        keepalive_time = min(keepalive_time, parameters.keepalive_time)
    terms = NegotiatedSession(
        local_asn=parameters.local_asn,
        peer_asn=theirs.asn,
        peer_router_id=theirs.router_id,
        hold_time=hold_time,
        keepalive_time=keepalive_time,
        four_octet=_both(ours, theirs, FourOctetAsn),
        families=_families(ours) & _families(theirs),
        max_length=MAX_EXTENDED_LENGTH if _both(ours, theirs, ExtendedMessage) else MAX_LENGTH,
        extended_next_hop=_supports_v4_over_v6(ours) and _supports_v4_over_v6(theirs),
        route_refresh=_both(ours, theirs, RouteRefresh),
        enhanced_refresh=_both(ours, theirs, EnhancedRouteRefresh),
        peer_hostname=next((c.host for c in theirs.capabilities if isinstance(c, Hostname)), ""),
    )
    return _with_restarts(terms, _restarts(ours), _restarts(theirs))


def _with_restarts(
    terms: NegotiatedSession, ours: GracefulRestart | None, theirs: GracefulRestart | None
) -> NegotiatedSession:
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
    # A speaker that offers no family predates RFC 4760 and exchanges IPv4 unicast.
    return frozenset(offered or {AddressFamily.IPV4})


def _supports_v4_over_v6(side: Open) -> bool:
    offered = (c.encodings for c in side.capabilities if isinstance(c, ExtendedNextHop))
    return any(IPV4_OVER_IPV6 in encodings for encodings in offered)


def _restarts(side: Open) -> GracefulRestart | None:
    offered = [c for c in side.capabilities if isinstance(c, GracefulRestart)]
    return offered[-1] if offered else None  # the last one counts (RFC 4724 section 3)


def _check_identity(parameters: SessionParameters, ours: Open, theirs: Open) -> None:
    wanted = _wanted_asn(parameters, theirs.asn)
    if wanted:
        raise _refusal(f"unexpected peer ASN {theirs.asn}, want {wanted}", OpenError.BAD_PEER_AS)
    same = theirs.router_id == ours.router_id and theirs.asn == parameters.local_asn
    if int(theirs.router_id) == 0 or same:  # RFC 6286 section 2.2
        raise _refusal(
            f"peer's router ID {theirs.router_id} is {'the same as ours' if same else 'not valid'}",
            OpenError.BAD_IDENTIFIER,
        )


def _wanted_asn(parameters: SessionParameters, found: int) -> str:
    """Describe the acceptable AS numbers; return "" where the one found is acceptable."""
    if parameters.peer_asn:
        return "" if found == parameters.peer_asn else str(parameters.peer_asn)
    local = parameters.local_asn
    match parameters.dynamic_asn:
        case DynamicAsn.INTERNAL if found != local:
            return f"{local}, ours"
        case DynamicAsn.EXTERNAL if found in (0, local):
            return f"another than ours, {local}"
        case _:
            return "" if found else "any other"


def describe(terms: NegotiatedSession) -> str:
    """Describe the negotiated parameters for the log; what is not named was not agreed."""
    return ", ".join(_describe(terms))


def _describe(terms: NegotiatedSession) -> Iterator[str]:
    families = " and ".join(f"IPv{family.version}" for family in sorted(terms.families))
    yield f"{families} unicast" if families else "no family in common"
    yield f"hold time {terms.hold_time} s" if terms.hold_time else "no hold time"
    for agreed, text in (
        (terms.four_octet, "4-byte ASNs"),
        (
            terms.route_refresh,
            "enhanced route refresh" if terms.enhanced_refresh else "route refresh",
        ),
        (terms.extended_next_hop, "IPv4 with IPv6 next hops"),
        (terms.max_length > MAX_LENGTH, f"messages of up to {terms.max_length} bytes"),
    ):
        if agreed:
            yield text
    if terms.restart_time is not None:
        survive = ", NOTIFICATIONs included" if terms.routes_survive_notifications else ""
        yield f"graceful restart {terms.restart_time} s{survive}"
    if terms.peer_restart is not None and terms.peer_restart.restarting:
        yield "peer has restarted"
    if name := "".join(c if c.isprintable() else "?" for c in terms.peer_hostname):
        yield f'peer host name "{name}"'


def _refusal(message: str, subcode: OpenError, data: bytes = b"") -> BgpError:
    return BgpError(message, ErrorCode.OPEN_MESSAGE, subcode, data)
