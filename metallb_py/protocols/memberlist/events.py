"""What the machine asks its driver to do, and what it tells of the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from metallb_py.protocols.memberlist.codec.messages import VERSIONS, Endpoint, State, Versions

StreamId = NewType("StreamId", int)
"""Names a stream: even where we opened it, odd where the other side did (the driver numbers)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member as this one sees it."""

    name: str
    endpoint: Endpoint
    incarnation: int
    state: State
    meta: bytes = b""
    versions: Versions = VERSIONS


@dataclass(frozen=True, slots=True)
class SendPacket:
    """Send a datagram. The machine wants to hear of it (``refused``) where nobody listens there."""

    to: Endpoint
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Connect, send this, read one message, and tell it; or tell the failure, by the deadline."""

    stream: StreamId
    to: Endpoint
    data: bytes
    deadline: float


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this over a stream that the other side opened, and close it."""

    stream: StreamId
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Close a stream at once."""

    stream: StreamId


@dataclass(frozen=True, slots=True)
class MemberUp:
    """A member joined, or came back."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member's metadata changed."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberSuspected:
    """A member may have failed. It counts as alive for now."""

    member: Member
    reporter: str


@dataclass(frozen=True, slots=True)
class MemberTrusted:
    """A member that was suspected is alive after all."""

    member: Member


@dataclass(frozen=True, slots=True)
class MemberDown:
    """A member has failed, or has left, as its state says. ``reporter`` found out."""

    member: Member
    reporter: str


@dataclass(frozen=True, slots=True)
class Accused:
    """``reporter`` thought that we had failed; we tell everybody that we have not."""

    reporter: str


@dataclass(frozen=True, slots=True)
class NameConflict:
    """Two members claim one name; that at ``kept`` is believed."""

    name: str
    kept: Endpoint
    refused: Endpoint


@dataclass(frozen=True, slots=True)
class Joined:
    """What was to be joined there was joined: both sides know the same members now."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class JoinFailed:
    """What was to be joined there can't be, for now."""

    endpoint: Endpoint
    error: str


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A member answered a ping directly, after so many seconds."""

    node: str
    seconds: float


News = (
    MemberUp
    | MemberChanged
    | MemberSuspected
    | MemberTrusted
    | MemberDown
    | Accused
    | NameConflict
    | Joined
    | JoinFailed
    | RoundTrip
)
"""What the machine tells of the cluster; there is nothing to be done for it."""

Effect = SendPacket | OpenStream | Reply | CloseStream | News
