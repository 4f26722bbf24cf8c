"""Effects of a session: actions for its driver to perform, and changes to report."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.negotiation import NegotiatedSession
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a TCP connection; answer with ``connected`` or ``connection_failed``."""


@dataclass(frozen=True, slots=True)
class CloseTcp:
    """Close the connection after all sent data has left, or abort opening it."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the connection: one or more whole messages."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SessionUp:
    """The session is established, with these negotiated parameters."""

    terms: NegotiatedSession


@dataclass(frozen=True, slots=True)
class SessionDown:
    """An established session ended other than by ``stop``."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """A connection attempt failed before the session was established."""

    error: str


@dataclass(frozen=True, slots=True)
class NotificationReceived:
    """The peer closed an established session with a NOTIFICATION, described by ``text``."""

    text: str


@dataclass(frozen=True, slots=True)
class UpdatesSent:
    """``count`` UPDATE messages were sent."""

    count: int


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """The peer has sent an UPDATE. Its routes are not used; it is reported only."""

    update: Update


Report = (
    SessionUp
    | SessionDown
    | ConnectFailed
    | NotificationReceived
    | UpdatesSent
    | UpdateReceived
    | PrefixCounts
)
"""What a driver passes on, for the log and the metrics."""

Effect = Connect | CloseTcp | Send | Report
