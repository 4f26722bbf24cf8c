"""What the BGP side of the speaker reports: to be logged, counted and shown by whoever listens."""

from __future__ import annotations

from dataclasses import dataclass

from speaker.bgp.peering import PeerSession, RemovalReason


@dataclass(frozen=True, slots=True)
class PeerAdded:
    """A session begins to be tried."""

    peer: PeerSession


@dataclass(frozen=True, slots=True)
class PeerRemoved:
    """A session is wanted no longer; nothing more is heard of it."""

    peer: PeerSession
    reason: RemovalReason


@dataclass(frozen=True, slots=True)
class Parted:
    """We are about to end, and leave an established session's peer so, for this reason.

    With ``routes_stay`` it keeps the routes (RFC 4724); else it is to find other ways now.
    """

    peer: PeerSession
    routes_stay: bool
    why: str


@dataclass(frozen=True, slots=True)
class SessionUp:
    """A session is established. ``hold_time`` in seconds, as both sides agreed; ``terms``: all."""

    peer: PeerSession
    local_asn: int
    peer_asn: int
    hold_time: int
    terms: str = ""


@dataclass(frozen=True, slots=True)
class SessionDown:
    """An established session fell; it is tried again."""

    peer: PeerSession
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """An attempt at a session failed; it is tried again."""

    peer: PeerSession
    error: str


@dataclass(frozen=True, slots=True)
class NotificationReceived:
    """The peer ended an established session and said why. SessionDown follows."""

    peer: PeerSession
    text: str


@dataclass(frozen=True, slots=True)
class UpdatesSent:
    """This many more UPDATE messages were sent, withdrawals included."""

    peer: PeerSession
    count: int


@dataclass(frozen=True, slots=True)
class PrefixCounts:
    """Prefixes that the peer has been told of, and those that it should be.

    ``not_carried`` of the latter are of a family that this session cannot carry.
    """

    peer: PeerSession
    announced: int
    pending: int
    not_carried: int


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """The peer sent routes, which nobody here uses; with a ``problem`` that harms nobody.

    The problem is one that RFC 7606 lets a session live with; it is empty where there is none.
    """

    peer: PeerSession
    problem: str = ""


BgpEvent = (
    PeerAdded
    | PeerRemoved
    | Parted
    | SessionUp
    | SessionDown
    | ConnectFailed
    | NotificationReceived
    | UpdatesSent
    | PrefixCounts
    | UpdateReceived
)
