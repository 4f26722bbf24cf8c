"""All BFD sessions of a node: which of them a packet is for (RFC 5880 section 6.8.6, RFC 5881)."""

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

_DISCRIMINATORS: Final = (1 << 32) - 1  # 0 is none


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a packet came in. ``ttl`` is the hop limit where it is IPv6."""

    source: IPAddress
    destination: IPAddress
    ttl: int
    multihop: bool = False


class Sessions:
    """The sessions, by their paths. ``chance`` draws from 0 up to, but not including, 1."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._by_path: dict[Path, Session] = {}
        self._by_discriminator: dict[int, tuple[Path, Session]] = {}
        self.discarded = 0

    @property
    def counts(self) -> Mapping[Path, Counts]:
        """What each session did since it began."""
        return {path: session.counts for path, session in self._by_path.items()}

    def configure(self, wanted: Mapping[Path, Settings], now: float) -> tuple[Effect, ...]:
        """Have exactly these sessions. Those that are there already go on undisturbed."""
        effects: list[Effect] = []
        for path in self._by_path.keys() - wanted.keys():
            session = self._by_path.pop(path)
            del self._by_discriminator[session.discriminator]
            effects += session.stop(now)
        for path, settings in wanted.items():
            if known := self._by_path.get(path):
                if known.settings != settings:
                    effects += known.retune(settings, now)
            else:
                effects += self._add(path, settings).start(now)
        return tuple(effects)

    def receive(self, data: bytes, arrival: Arrival, now: float) -> tuple[Effect, ...]:
        """A datagram came in on a port for control packets."""
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
        """A datagram came in on the port for echo packets: return it, if its sender may send some.

        What is returned leaves with a lower TTL, so that it is never returned a second time.
        """
        for path, session in self._by_path.items():
            if session.settings.echo and _leads_to(path, arrival):
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
        """When ``handle_timeout`` wants to be called, if ever."""
        deadlines = (session.next_deadline() for session in self._by_path.values())
        return min((at for at in deadlines if at is not None), default=None)

    def _add(self, path: Path, settings: Settings) -> Session:
        discriminator = 0
        while discriminator == 0 or discriminator in self._by_discriminator:
            discriminator = 1 + int(self._chance() * _DISCRIMINATORS)
        session = Session(path, settings, discriminator, self._chance)
        self._by_path[path] = session
        self._by_discriminator[discriminator] = (path, session)
        return session

    def _find(self, packet: ControlPacket, arrival: Arrival) -> Session | None:
        """Return whose packet this is: by our number if the peer knows it, else by address."""
        if packet.your_discriminator:
            found = self._by_discriminator.get(packet.your_discriminator)
        else:
            found = next((it for it in self._by_path.items() if _leads_to(it[0], arrival)), None)
        if found is None:
            return None
        path, session = found
        # A number is easily guessed; what comes from elsewhere is a forgery.
        if not _leads_to(path, arrival):
            return None
        least = session.settings.minimum_ttl if path.multihop else SINGLE_HOP_TTL
        return session if arrival.ttl >= least else None


def _leads_to(path: Path, arrival: Arrival) -> bool:
    return (
        path.peer == arrival.source
        and path.multihop == arrival.multihop
        and path.local in (None, arrival.destination)
    )
