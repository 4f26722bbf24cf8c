"""What a session asks its driver to do, or wants the world to know."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.negotiation import Terms
from metallb_py.protocols.bgp.rib.adj_rib_out import PrefixCounts


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a TCP connection; answer with ``connected`` or ``connection_failed``."""


@dataclass(frozen=True, slots=True)
class CloseTcp:
    """Close the connection, or give up opening it, once everything sent has left."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes to the connection: one or more whole messages."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SessionUp:
    """Routes may flow, on these terms."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class SessionDown:
    """An established session fell, against our wish."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """An attempt at a session ended before it was established."""

    error: str


@dataclass(frozen=True, slots=True)
class NotificationReceived:
    """The peer closed an established session, and said why."""

    text: str


@dataclass(frozen=True, slots=True)
class UpdatesSent:
    """This many UPDATE messages went out."""

    count: int


@dataclass(frozen=True, slots=True)
class UpdateReceived:
    """The peer has sent routes, which a speaker of ours has no use for."""

    update: Update


Effect = (
    Connect
    | CloseTcp
    | Send
    | SessionUp
    | SessionDown
    | ConnectFailed
    | NotificationReceived
    | UpdatesSent
    | UpdateReceived
    | PrefixCounts
)
