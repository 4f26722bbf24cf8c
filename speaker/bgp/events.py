"""Events of the speaker's BGP sessions, for the log, the metrics and the status."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.model.peers import SessionParameters
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
class SessionUp:
    """A session is established."""

    peer: SessionParameters
    local_asn: int
    """AS number of our side."""
    peer_asn: int
    """AS number in the peer's OPEN; that in ``peer`` is 0 where ``dynamic_asn`` is configured."""
    hold_time: int
    """Negotiated hold time in seconds; 0: none."""
    terms: str = ""
    """All that was negotiated, as text for the log."""


@dataclass(frozen=True, slots=True)
class SessionDown:
    """An established session went down; it is retried."""

    peer: SessionParameters
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """An attempt to establish a session failed; it is retried."""

    peer: SessionParameters
    error: str


@dataclass(frozen=True, slots=True)
class NotificationReceived:
    """The peer ended an established session with a NOTIFICATION. SessionDown follows."""

    peer: SessionParameters
    text: str


@dataclass(frozen=True, slots=True)
class UpdatesSent:
    """``count`` more UPDATE messages were sent, withdrawals included."""

    peer: SessionParameters
    count: int


@dataclass(frozen=True, slots=True)
class PrefixCounts:
    """Numbers of prefixes that are advertised to the peer, and that are to be.

    ``not_carried`` of the latter are of a family that this session cannot carry.
    """

    peer: SessionParameters
    announced: int
    pending: int
    not_carried: int


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """The peer sent an UPDATE. Its routes are not used.

    ``problem`` describes an error after which RFC 7606 lets the session continue; it is empty
    where there is none.
    """

    peer: SessionParameters
    problem: str = ""


BgpEvent = (
    PeerAdded
    | PeerRemoved
    | ShutdownBegun
    | SessionUp
    | SessionDown
    | ConnectFailed
    | NotificationReceived
    | UpdatesSent
    | PrefixCounts
    | UpdateReceived
)
