"""Configuration and effects of BFD sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bfd.packet import Diagnostic

SINGLE_HOP_TTL: Final = 255
"""TTL of received single-hop packets: no router has forwarded them (RFC 5881 section 5)."""


@dataclass(frozen=True, slots=True)
class Path:
    """The path to a peer that a session monitors. ``local`` is None where the kernel chooses it."""

    peer: IPAddress
    local: IPAddress | None = None
    multihop: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Configuration of a session, with FRR's defaults."""

    transmit_interval: int = 300_000
    """Microseconds between our control packets, at least (Desired Min TX Interval)."""
    receive_interval: int = 300_000
    """Microseconds between the peer's control packets, at least (Required Min RX Interval)."""
    detect_multiplier: int = 3
    """The number of our intervals without a packet after which the peer takes us as down."""
    echo_interval: int = 50_000
    """Microseconds between the peer's echo packets, at least; without ``echo`` not used."""
    echo: bool = False
    """Whether the peer may send echo packets."""
    passive: bool = False
    """Whether to send nothing before the peer's first packet."""
    minimum_ttl: int = 254
    """Least TTL of received packets on a multihop path; others are discarded."""


@dataclass(frozen=True, slots=True)
class SendControl:
    """Send a control packet to the peer."""

    path: Path
    data: bytes


@dataclass(frozen=True, slots=True)
class ReturnEcho:
    """Send the peer's echo packet back, unchanged."""

    path: Path
    data: bytes


@dataclass(frozen=True, slots=True)
class SessionUp:
    """The session is Up: packets arrive in both directions."""

    path: Path


@dataclass(frozen=True, slots=True)
class SessionDown:
    """The session has left Up.

    ``peer_admin_down``: the peer is AdminDown (RFC 5880 section 6.8.16), so the path may be intact.
    """

    path: Path
    diagnostic: Diagnostic
    peer_admin_down: bool = False


Effect = SendControl | ReturnEcho | SessionUp | SessionDown
