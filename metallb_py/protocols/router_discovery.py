"""Router discovery between two peers of a link (RFC 4861 sections 4.1, 4.2, 6).

Theory of operation. Routers that peer over a link without configured addresses (BGP unnumbered)
find each other by router advertisements alone. This side advertises itself with a router lifetime
of 0, so that no host uses it as a default router, and takes the sender of received advertisements
for the router at the other end. Until it has received one, it also sends router solicitations.
Hosts on the link are given no configuration: no prefix, no hop limit, no route.

The raw ICMPv6 socket computes and verifies checksums (RFC 3542 section 3.1). Times are monotonic
seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from struct import Struct

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.ndp import ALL_NODES, ALL_ROUTERS, HOP_LIMIT

SOLICITATION = 133
ADVERTISEMENT = 134

MAX_INTERVAL = 10.0
"""Most seconds between advertisements; a random part of up to a quarter is taken off (6.2.4)."""
INITIAL_INTERVAL = 1.0
"""Seconds between the initial advertisements: the other end may be waiting for one."""
INITIAL_ADVERTISEMENTS = 3
"""The number of initial advertisements."""
MIN_DELAY_BETWEEN_RAS = 3.0
"""Least seconds before a solicited advertisement, however many solicitations arrive (section 10).

Also the least seconds before another router replaces the one that was found: the link should have
only one, and this limits the work caused by forged advertisements."""

_ADVERTISEMENT = Struct("!BBHBBHII")  # type, code, checksum; hop limit, flags, lifetime; timers
_SOLICITATION = Struct("!BBHI")
_HEADER = Struct("!BBH")


class RouterDiscoveryError(RemoteProtocolError):
    """Not a router advertisement or solicitation, or one that must be discarded."""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A router advertisement. ``lifetime`` is in seconds, 0 where it is not a default router."""

    lifetime: int = 0


@dataclass(frozen=True, slots=True)
class Solicitation:
    """A router solicitation."""


Message = Advertisement | Solicitation


@dataclass(frozen=True, slots=True)
class Packet:
    """A received ICMPv6 message, with the source and hop limit of its IPv6 header."""

    data: bytes
    source: IPv6Address
    hop_limit: int


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this ICMPv6 message, whose checksum is not filled in, to a group of the link."""

    data: bytes
    destination: IPv6Address


@dataclass(frozen=True, slots=True)
class RouterFound:
    """The router at the other end has this address from now on."""

    address: IPv6Address


Effect = Transmit | RouterFound


def encode(message: Message) -> bytes:
    """Return the ICMPv6 message; checksum and unspecified fields are 0."""
    match message:
        case Advertisement(lifetime):
            return _ADVERTISEMENT.pack(ADVERTISEMENT, 0, 0, 0, 0, lifetime, 0, 0)
        case Solicitation():
            return _SOLICITATION.pack(SOLICITATION, 0, 0, 0)


def decode(packet: Packet) -> Message:
    """Decode a message. Raises RouterDiscoveryError and nothing else (sections 6.1.1 and 6.1.2)."""
    data = packet.data
    if len(data) < _HEADER.size:
        raise RouterDiscoveryError(f"icmpv6: found {len(data)} bytes, want {_HEADER.size} or more")
    kind, code, _ = _HEADER.unpack_from(data)
    want = {ADVERTISEMENT: _ADVERTISEMENT.size, SOLICITATION: _SOLICITATION.size}.get(kind)
    if want is None:
        raise RouterDiscoveryError(
            f"icmpv6 type: found {kind}, want {SOLICITATION} or {ADVERTISEMENT}"
        )
    if len(data) < want:
        raise RouterDiscoveryError(f"icmpv6 type {kind}: found {len(data)} bytes, want {want}")
    if packet.hop_limit != HOP_LIMIT:
        raise RouterDiscoveryError(f"hop limit: found {packet.hop_limit}, want {HOP_LIMIT}")
    if code:
        raise RouterDiscoveryError(f"icmpv6 code: found {code}, want 0")
    if kind == SOLICITATION:
        return Solicitation()
    if not packet.source.is_link_local:
        raise RouterDiscoveryError(f"advertisement from {packet.source}: want a link-local address")
    return Advertisement(_ADVERTISEMENT.unpack_from(data)[5])


class RouterDiscovery:
    """State of one link. ``rng`` returns a random number in [0, 1)."""

    def __init__(self, rng: Callable[[], float]) -> None:
        self._rng = rng
        self._router: IPv6Address | None = None
        self._found_at = 0.0
        self._default_until = 0.0
        self._sent = 0
        self._last_sent = 0.0
        self._next: float | None = None

    def start(self, now: float) -> tuple[Effect, ...]:
        """Start, or start again after the link was down."""
        self._router, self._sent = None, 0
        return self._transmit(now)

    def receive(self, packet: Packet, now: float) -> tuple[Effect, ...]:
        """Handle a received packet. Raises RouterDiscoveryError; no state was changed then."""
        match decode(packet):
            case Solicitation():
                soon = max(now, self._last_sent + MIN_DELAY_BETWEEN_RAS)
                self._next = soon if self._next is None else min(self._next, soon)
                return ()
            case Advertisement(lifetime):
                return self._update_router(packet.source, lifetime, now)

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Send the next advertisement, if it is due."""
        return self._transmit(now) if self._next is not None and now >= self._next else ()

    def next_deadline(self) -> float | None:
        """Return the time at which to call ``handle_timeout``, or None."""
        return self._next

    def _update_router(self, source: IPv6Address, lifetime: int, now: float) -> tuple[Effect, ...]:
        """Take the sender of the latest advertisement, but prefer a default router to others."""
        if source == self._router:
            self._default_until = now + lifetime
            return ()
        is_less = not lifetime and now < self._default_until
        too_early = now < self._found_at + MIN_DELAY_BETWEEN_RAS
        if self._router is not None and (is_less or too_early):
            return ()
        self._router, self._found_at = source, now
        self._default_until = now + lifetime
        return (RouterFound(source),)

    def _transmit(self, now: float) -> tuple[Effect, ...]:
        self._sent += 1
        self._last_sent = now
        initial = self._sent < INITIAL_ADVERTISEMENTS
        self._next = now + (INITIAL_INTERVAL if initial else MAX_INTERVAL * (1 - self._rng() / 4))
        advertisement = Transmit(encode(Advertisement()), ALL_NODES)
        if self._router is not None:
            return (advertisement,)
        return (Transmit(encode(Solicitation()), ALL_ROUTERS), advertisement)
