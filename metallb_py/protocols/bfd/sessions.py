"""All BFD sessions of a node, and session selection (RFC 5880 6.8.6, RFC 5881, RFC 5883)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bfd.packet import BfdError, ControlPacket, decode
from metallb_py.protocols.bfd.session import Counts, Session
from metallb_py.protocols.bfd.settings import (
    SINGLE_HOP_TTL,
    Effect,
    Path,
    ReturnEcho,
    Settings,
)

_DISCRIMINATORS: Final = (1 << 32) - 1  # 0 is not a valid discriminator


@dataclass(frozen=True, slots=True)
class Arrival:
    """Addresses, TTL (IPv6: hop limit) and port of a received packet.

    ``multihop``: the packet arrived on the port of multihop sessions (RFC 5883).
    """

    source: IPAddress
    destination: IPAddress
    ttl: int
    multihop: bool = False


class Sessions:
    """The sessions by path. ``rng`` returns a random number in [0, 1).

    ``discarded`` counts packets that belong to no session or are invalid.
    """

    def __init__(self, rng: Callable[[], float]) -> None:
        self._rng = rng
        self._by_path: dict[Path, Session] = {}
        self._by_discriminator: dict[int, tuple[Path, Session]] = {}
        self.discarded = 0

    @property
    def counts(self) -> Mapping[Path, Counts]:
        """The counters of each session."""
        return {path: session.counts for path, session in self._by_path.items()}

    def configure(self, wanted: Mapping[Path, Settings], now: float) -> tuple[Effect, ...]:
        """Create, change and stop sessions to match ``wanted``; unchanged ones continue."""
        effects: list[Effect] = []
        for path in self._by_path.keys() - wanted.keys():
            session = self._by_path.pop(path)
            del self._by_discriminator[session.discriminator]
            effects += session.stop(now)
        for path, settings in wanted.items():
            if existing := self._by_path.get(path):
                if existing.settings != settings:
                    effects += existing.reconfigure(settings, now)
            else:
                effects += self._add(path, settings).start(now)
        return tuple(effects)

    def receive(self, data: bytes, arrival: Arrival, now: float) -> tuple[Effect, ...]:
        """Handle a datagram received on a port for control packets."""
        try:
            packet = decode(data)
        except BfdError:
            packet = None
        session = None if packet is None else self._find(packet, arrival)
        if packet is None or session is None:
            self.discarded += 1
            return ()
        return session.receive(packet, now)

    def receive_echo(self, data: bytes, arrival: Arrival) -> tuple[Effect, ...]:
        """Handle a datagram received on the port for echo packets.

        It is returned if a session with its sender allows echo packets. It leaves with a lower TTL,
        so that it is never returned a second time.
        """
        for path, session in self._by_path.items():
            if session.settings.echo and _matches(path, arrival):
                if arrival.ttl != SINGLE_HOP_TTL:
                    break
                session.counts.echo_in += 1
                session.counts.echo_out += 1
                return (ReturnEcho(path, data),)
        self.discarded += 1
        return ()

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Act on every deadline that has passed."""
        effects: list[Effect] = []
        for session in self._by_path.values():
            effects += session.handle_timeout(now)
        return tuple(effects)

    def next_deadline(self) -> float | None:
        """Return the time at which to call ``handle_timeout``, or None."""
        deadlines = (session.next_deadline() for session in self._by_path.values())
        return min((at for at in deadlines if at is not None), default=None)

    def _add(self, path: Path, settings: Settings) -> Session:
        discriminator = 0
        while discriminator == 0 or discriminator in self._by_discriminator:
            discriminator = 1 + int(self._rng() * _DISCRIMINATORS)
        session = Session(path, settings, discriminator, self._rng)
        self._by_path[path] = session
        self._by_discriminator[discriminator] = (path, session)
        return session

    def _find(self, packet: ControlPacket, arrival: Arrival) -> Session | None:
        """Select the session by our discriminator if the packet has it, else by the addresses."""
        if packet.your_discriminator:
            found = self._by_discriminator.get(packet.your_discriminator)
        else:
            found = next((it for it in self._by_path.items() if _matches(it[0], arrival)), None)
        if found is None:
            return None
        path, session = found
        # A discriminator is easily guessed, so the addresses must match as well.
        if not _matches(path, arrival):
            return None
        least = session.settings.minimum_ttl if path.multihop else SINGLE_HOP_TTL
        return session if arrival.ttl >= least else None


def _matches(path: Path, arrival: Arrival) -> bool:
    return (
        path.peer == arrival.source
        and path.multihop == arrival.multihop
        and path.local in (None, arrival.destination)
    )
