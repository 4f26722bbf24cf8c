"""The messages of hashicorp/memberlist: one type byte, then a MessagePack map of named fields.

Names and types are those of memberlist's ``net.go``. It uses one kind of string only, as in
MessagePack before 2013: text and bytes are the same on the wire, and a length of 32 to 255 bytes
takes 16 bits. Missing fields have their zero value, and unknown ones are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from metallb_py.addresses import IPAddress

META_LIMIT: Final = 512
"""Most bytes of a member's metadata."""
NAME_LIMIT: Final = 253
"""Most bytes of a member's name: the limit of a Kubernetes Node's."""


class Kind(IntEnum):
    """The first byte of a message, or of a layer around messages."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10
    NACK = 11
    CHECKSUM = 12
    ERROR = 13
    LABEL = 244


class State(IntEnum):
    """The state of a member, as encoded in a push-pull."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Endpoint(NamedTuple):
    """The address and port of a member, for UDP and TCP. Never an IPv4-mapped IPv6 address."""

    address: IPAddress
    port: int


class Versions(NamedTuple):
    """The versions that a member supports, of the protocol and of an application's addition.

    Nothing is added here, so the ``delegate`` versions are 0.
    """

    least: int = 1
    """Lowest version of the protocol that the member understands."""
    most: int = 5
    """Highest version of the protocol that the member understands."""
    current: int = 2
    """Version of the protocol that the member sends."""
    delegate_least: int = 0
    """Lowest version of the application's protocol that the member understands."""
    delegate_most: int = 0
    """Highest version of the application's protocol that the member understands."""
    delegate_current: int = 0
    """Version of the application's protocol that the member sends."""


VERSIONS: Final = Versions()
"""The versions that this implementation supports."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Requests an Ack from the member of this name. It is sent to ``source``, if that is set."""

    sequence: int
    node: str = ""
    source: Endpoint | None = None
    source_node: str = ""


@dataclass(frozen=True, slots=True)
class IndirectPing:
    """Requests a ping of another member on the sender's behalf."""

    sequence: int
    """Sequence number that the Ack or Nack repeats."""
    target: Endpoint
    """Endpoint of the member to ping."""
    node: str
    """Name of the member to ping."""
    nack: bool = False
    """Whether a Nack is requested if no Ack arrives."""
    source: Endpoint | None = None
    """Where to send the Ack or Nack; None for the source of the datagram."""
    source_node: str = ""
    """Name of the member that sends the request."""


@dataclass(frozen=True, slots=True)
class Ack:
    """Answers a ping."""

    sequence: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Nack:
    """Answers an indirect ping whose target gave no answer."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """``reporter`` suspects that ``node`` has failed."""

    incarnation: int
    node: str
    reporter: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A member is alive, has changed, or refutes a suspicion."""

    incarnation: int
    """Incarnation number of the member."""
    node: str
    """Name of the member."""
    endpoint: Endpoint
    """Endpoint of the member. Port 0 if the message has none."""
    meta: bytes = b""
    """Metadata of the application, up to META_LIMIT bytes."""
    versions: Versions = VERSIONS
    """Versions that the member supports; all 0 if the message has none."""


@dataclass(frozen=True, slots=True)
class Dead:
    """``reporter`` declares that ``node`` has failed; or that it leaves, if they are the same."""

    incarnation: int
    node: str
    reporter: str


@dataclass(frozen=True, slots=True)
class User:
    """A message of an application. Not used here."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class RemoteError:
    """The other side could not decode a stream."""

    text: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """One member in a push-pull, in the sender's view."""

    node: str
    """Name of the member."""
    endpoint: Endpoint
    """Endpoint of the member. Port 0 if the message has none."""
    incarnation: int
    """Incarnation number of the member."""
    state: State
    """State of the member."""
    meta: bytes = b""
    """Metadata of the application, up to META_LIMIT bytes."""
    versions: Versions = VERSIONS
    """Versions that the member supports; all 0 if the message has none."""


@dataclass(frozen=True, slots=True)
class PushPull:
    """All state of a member, answered with the same. ``join``: the first exchange, at a join."""

    states: tuple[NodeState, ...]
    join: bool = False
    user_state: bytes = b""


Message = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User | RemoteError | PushPull
