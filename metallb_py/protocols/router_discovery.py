"""Finding the router at the other end of a link, and being found (RFC 4861 sections 4.1, 4.2, 6).

Theory of operation. Routers that peer over a link without addresses know each other by their router
advertisements alone. We advertise ourselves as a router that nobody should use by default (lifetime
0), and take who advertises itself for the one at the other end; until somebody does we ask for it,
too. Hosts on the link learn nothing from us: no prefix, no limit, no route.

Checksums are the business of the raw socket, which makes and verifies them (RFC 3542 section 3.1).
Times are seconds of any monotonic clock.
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

INTERVAL = 10.0
"""Seconds between our advertisements at most; chance takes up to a quarter off (section 6.2.4)."""
FIRST_INTERVAL = 1.0
"""Between the first ones, as the other end may be waiting for us."""
FIRST_ONES = 3
MIN_DELAY = 3.0
"""Between later ones at least, however often somebody asks (section 10); and before another router
counts: there should be one, and who pretends to be many shall not keep us busy."""

_ADVERTISEMENT = Struct("!BBHBBHII")  # type, code, checksum; hop limit, flags, lifetime; timers
_SOLICITATION = Struct("!BBHI")
_HEADER = Struct("!BBH")


class RouterDiscoveryError(RemoteProtocolError):
    """This is no router advertisement or solicitation, or one that must be discarded."""


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A router is there. ``lifetime`` (seconds) is 0 where it wants no default routes to it."""

    lifetime: int = 0


@dataclass(frozen=True, slots=True)
class Solicitation:
    """Somebody wants to know which routers there are."""


Message = Advertisement | Solicitation


@dataclass(frozen=True, slots=True)
class Packet:
    """An ICMPv6 message that came in, and what the IPv6 header said of it."""

    data: bytes
    source: IPv6Address
    hop_limit: int


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this ICMPv6 message, less its checksum, to a group of the link."""

    data: bytes
    destination: IPv6Address


@dataclass(frozen=True, slots=True)
class RouterFound:
    """This is the router at the other end, from now on."""

    address: IPv6Address


Effect = Transmit | RouterFound


def encode(message: Message) -> bytes:
    """Return the ICMPv6 message, with 0 for a checksum, and 0 for all that we leave open."""
    match message:
        case Advertisement(lifetime):
            return _ADVERTISEMENT.pack(ADVERTISEMENT, 0, 0, 0, 0, lifetime, 0, 0)
        case Solicitation():
            return _SOLICITATION.pack(SOLICITATION, 0, 0, 0)


def decode(packet: Packet) -> Message:
    """Read a message. Raises RouterDiscoveryError, and only that (sections 6.1.1 and 6.1.2)."""
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
    """One link. ``chance`` draws a random number in [0, 1)."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._router: IPv6Address | None = None
        self._found_at = 0.0
        self._default_until = 0.0
        self._sent = 0
        self._last_sent = 0.0
        self._next: float | None = None

    def start(self, now: float) -> tuple[Effect, ...]:
        """Begin, or begin anew after the link was away."""
        self._router, self._sent = None, 0
        return self._speak(now)

    def receive(self, packet: Packet, now: float) -> tuple[Effect, ...]:
        """A packet came in. Raises RouterDiscoveryError; no state was changed then."""
        match decode(packet):
            case Solicitation():
                soon = max(now, self._last_sent + MIN_DELAY)
                self._next = soon if self._next is None else min(self._next, soon)
                return ()
            case Advertisement(lifetime):
                return self._heard(packet.source, lifetime, now)

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Say again that we are here, if it is time."""
        return self._speak(now) if self._next is not None and now >= self._next else ()

    def next_deadline(self) -> float | None:
        """When ``handle_timeout`` wants to be called, if ever."""
        return self._next

    def _heard(self, source: IPv6Address, lifetime: int, now: float) -> tuple[Effect, ...]:
        """Take the latest for the router; but rather one that routes for all than one like us."""
        if source == self._router:
            self._default_until = now + lifetime
            return ()
        is_less = not lifetime and now < self._default_until
        if self._router is not None and (is_less or now < self._found_at + MIN_DELAY):
            return ()
        self._router, self._found_at = source, now
        self._default_until = now + lifetime
        return (RouterFound(source),)

    def _speak(self, now: float) -> tuple[Effect, ...]:
        self._sent += 1
        self._last_sent = now
        first = self._sent < FIRST_ONES
        self._next = now + (FIRST_INTERVAL if first else INTERVAL * (1 - self._chance() / 4))
        advertisement = Transmit(encode(Advertisement()), ALL_NODES)
        if self._router is not None:
            return (advertisement,)
        return (Transmit(encode(Solicitation()), ALL_ROUTERS), advertisement)
