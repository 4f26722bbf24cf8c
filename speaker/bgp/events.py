"""Events of the speaker's BGP sessions, for log, metrics and status. Short: types alone."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.addresses import IPAddress
from metallb_py.model.peers import SessionParameters
from metallb_py.protocols.bgp.effects import Report
from speaker.bgp.peering import RemovalReason


@dataclass(frozen=True, slots=True)
class PeerAdded:
    """A peer was added: attempts to establish its session begin."""

    peer: SessionParameters


@dataclass(frozen=True, slots=True)
class PeerRemoved:
    """A peer was removed: its session ends, and no event of it follows."""

    peer: SessionParameters
    reason: RemovalReason


@dataclass(frozen=True, slots=True)
class ShutdownBegun:
    """The shutdown of an established session has begun; ``why`` is the reason as text.

    With ``graceful_restart`` the peer keeps the routes (RFC 4724); otherwise the session is
    drained, so that the peer moves its traffic to other nodes.
    """

    peer: SessionParameters
    graceful_restart: bool
    why: str


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """An effect that the session with a peer reports. A session that ended is retried."""

    peer: SessionParameters
    effect: Report
    router: IPAddress | None = None
    """Discovered address of an unnumbered peer; None before that, and for any other peer."""


BgpEvent = PeerAdded | PeerRemoved | ShutdownBegun | PeerEvent
