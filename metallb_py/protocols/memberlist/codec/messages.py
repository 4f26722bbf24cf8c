"""The messages of hashicorp/memberlist: one type byte, then a MessagePack map of named fields.

Names and types are those of memberlist's ``net.go``. It knows one kind of string only, as in
MessagePack before 2013: text and bytes look the same on the wire, and a length of 32 to 255 bytes
takes 16 bits. Fields that are missing have their zero value, and unknown ones are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from metallb_py.addresses import IPAddress

META_LIMIT: Final = 512
"""The longest metadata of a member, in bytes."""
NAME_LIMIT: Final = 253
"""The longest name of a member, in bytes: that of a Kubernetes Node."""


class Kind(IntEnum):
    """The first byte of a message or of what is wrapped around messages."""

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
    """What is thought of a member, as push-pull tells it."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Endpoint(NamedTuple):
    """Where a member is to be reached, by UDP and TCP. Never an IPv4 address mapped into IPv6."""

    address: IPAddress
    port: int


class Versions(NamedTuple):
    """The versions that a member understands (least and most) and speaks.

    Those of the protocol, and of what an application adds to it, which is nothing here.
    """

    least: int = 1
    most: int = 5
    current: int = 2
    delegate_least: int = 0
    delegate_most: int = 0
    delegate_current: int = 0


VERSIONS: Final = Versions()
"""What is understood and spoken here."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks the member of this name for an Ack. The answer goes to ``source``, where it is told."""

    sequence: int
    node: str = ""
    source: Endpoint | None = None
    source_node: str = ""


@dataclass(frozen=True, slots=True)
class IndirectPing:
    """Asks for a ping of ``node`` at ``target`` on the sender's behalf.

    With ``nack`` the sender wants to hear also that no answer came.
    """

    sequence: int
    target: Endpoint
    node: str
    nack: bool = False
    source: Endpoint | None = None
    source_node: str = ""


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
    """``reporter`` thinks that ``node`` may have failed."""

    incarnation: int
    node: str
    reporter: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A member is there, or changed. ``endpoint`` has port 0 where none was told."""

    incarnation: int
    node: str
    endpoint: Endpoint
    meta: bytes = b""
    versions: Versions = VERSIONS


@dataclass(frozen=True, slots=True)
class Dead:
    """``node`` has failed; or has left, where it says so itself."""

    incarnation: int
    node: str
    reporter: str


@dataclass(frozen=True, slots=True)
class User:
    """What an application tells another. Nothing here does."""

    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class RemoteError:
    """The other side could not read what it got over a stream."""

    text: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """What one member thinks of another."""

    node: str
    endpoint: Endpoint
    incarnation: int
    state: State
    meta: bytes = b""
    versions: Versions = VERSIONS


@dataclass(frozen=True, slots=True)
class PushPull:
    """All that a member knows. It is answered with the same. ``join``: they meet just now."""

    states: tuple[NodeState, ...]
    join: bool = False
    user_state: bytes = b""


Message = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User | RemoteError | PushPull
