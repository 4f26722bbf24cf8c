"""What a BFD session is told, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bfd.packet import Diagnostic

SINGLE_HOP_TTL: Final = 255
"""What a neighbour's packets arrive with: no router was on the way (RFC 5881 section 5)."""


@dataclass(frozen=True, slots=True)
class Path:
    """What a session watches: the way to a peer. ``local`` is None where the kernel chooses it."""

    peer: IPAddress
    local: IPAddress | None = None
    multihop: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """A session's timers, with FRR's defaults. Intervals are in microseconds.

    ``echo`` lets the peer send echo packets, ``echo_interval`` apart at the least. ``minimum_ttl``
    is what packets of a path of several hops must arrive with.
    """

    transmit_interval: int = 300_000
    receive_interval: int = 300_000
    detect_multiplier: int = 3
    echo_interval: int = 50_000
    echo: bool = False
    passive: bool = False
    minimum_ttl: int = 254


@dataclass(frozen=True, slots=True)
class SendControl:
    """Send a control packet to the peer."""

    path: Path
    data: bytes


@dataclass(frozen=True, slots=True)
class ReturnEcho:
    """Send the peer its echo packet back, as it is."""

    path: Path
    data: bytes


@dataclass(frozen=True, slots=True)
class SessionUp:
    """Packets pass in both directions."""

    path: Path


@dataclass(frozen=True, slots=True)
class SessionDown:
    """They do no longer. ``on_purpose``: the peer's operator ended it, and the path may be well."""

    path: Path
    diagnostic: Diagnostic
    on_purpose: bool = False


Effect = SendControl | ReturnEcho | SessionUp | SessionDown
