"""Effects of the memberlist machine: actions for its driver, and events of the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from metallb_py.protocols.memberlist.codec.messages import VERSIONS, Endpoint, State, Versions

StreamId = NewType("StreamId", int)
"""Number of a stream: even if this member opened it, odd if another did (the driver counts)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member, in this member's view."""

    name: str
    """Name, unique in the cluster: that of the Kubernetes Node."""
    endpoint: Endpoint
    """Address and port, for UDP and TCP."""
    incarnation: int
    """Incarnation number. Only the member itself raises it (state.py)."""
    state: State
    """Alive, suspect, dead or left."""
    meta: bytes = b""
    """Metadata of the application, up to META_LIMIT bytes."""
    versions: Versions = VERSIONS
    """Versions of the protocol that the member supports."""


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Send a datagram. If an ICMP error reports that no socket listens there, call ``refused``."""

    to: Endpoint
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Connect, send ``data`` and read one message, before ``deadline`` (monotonic seconds).

    Answered by ``stream_received`` or ``stream_failed``.
    """

    stream: StreamId
    to: Endpoint
    data: bytes
    deadline: float


@dataclass(frozen=True, slots=True)
class Reply:
    """Send ``data`` over a stream that the other side opened, and close the stream."""

    stream: StreamId
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Close a stream at once, without an answer."""

    stream: StreamId


@dataclass(frozen=True, slots=True)
class MemberUp:
    """A member joined, or returned."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member's metadata changed."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberSuspected:
    """``reporter`` suspects that a member has failed. Until it is declared dead it is usable."""

    member: Member
    reporter: str


@dataclass(frozen=True, slots=True)
class MemberTrusted:
    """A suspected member has refuted the suspicion."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberDown:
    """A member failed or left (see its state). ``reporter`` declared it; itself if it left."""

    member: Member
    reporter: str


@dataclass(frozen=True, slots=True)
class SelfSuspected:
    """``reporter`` suspected this member, or declared it dead. This member refutes that."""

    reporter: str


@dataclass(frozen=True, slots=True)
class NameConflict:
    """Two members claim one name; that at ``kept`` counts, that at ``refused`` does not."""

    name: str
    kept: Endpoint
    refused: Endpoint


@dataclass(frozen=True, slots=True)
class Joined:
    """A join at an endpoint succeeded: both sides have merged each other's state."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class JoinFailed:
    """A join at an endpoint failed. The machine does not repeat it."""

    endpoint: Endpoint
    error: str


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A member answered a ping directly, after ``seconds``."""

    node: str
    seconds: float


ClusterEvent = (
    MemberUp
    | MemberChanged
    | MemberSuspected
    | MemberTrusted
    | MemberDown
    | SelfSuspected
    | NameConflict
    | Joined
    | JoinFailed
    | RoundTrip
)
"""Events of the cluster: reports, which ask no action of the driver."""

Effect = SendPacket | OpenStream | Reply | CloseStream | ClusterEvent
