"""Events that the layer 2 responder reports to the speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.addresses import IPAddress
from speaker.layer2.topology import NodeInterface


@dataclass(frozen=True, slots=True)
class InterfaceAdded:
    """An interface began to answer in a protocol: ``ARP`` or ``NDP``."""

    interface: str
    protocol: str


@dataclass(frozen=True, slots=True)
class InterfaceRemoved:
    """An interface stopped answering in a protocol.

    It went down, was removed or enslaved, or IPv6 was disabled on it; or no IPv6 address is owned
    any more.
    """

    interface: str
    protocol: str


@dataclass(frozen=True, slots=True)
class InterfaceFailed:
    """An interface can't answer in a protocol, or not for every address. Retried every 10 s."""

    interface: str
    protocol: str
    error: str


@dataclass(frozen=True, slots=True)
class AddressCounters:
    """Packets received and sent for one address since the last report."""

    requests: int
    responses: int
    gratuitous: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts since the last report. ``drops`` counts frames without a reply, by reason."""

    addresses: Mapping[IPAddress, AddressCounters]
    drops: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The kernel refused to send frames."""

    interface: str
    address: IPAddress
    """The address that the frames were about."""
    gratuitous: bool
    """Whether they were announcements; else they were replies."""
    error: str
    """The error, as text."""
    count: int
    """Number of frames since the last report."""


@dataclass(frozen=True, slots=True)
class AddressConflict:
    """Another host announced one of our addresses at its own MAC address, ``count`` times."""

    interface: str
    address: IPAddress
    mac: str
    count: int


@dataclass(frozen=True, slots=True)
class InterfacesChanged:
    """The set of interfaces that answer, their subnets or their addresses changed."""

    interfaces: tuple[NodeInterface, ...]


@dataclass(frozen=True, slots=True)
class ResponderRestarted:
    """The process died; a new one answers for every address. ``status`` is its exit status.

    A negative status is the number of the signal that killed it.
    """

    status: int


@dataclass(frozen=True, slots=True)
class ResponderNotStarted:
    """The process can't be started; this is retried. ``error`` is text."""

    error: str


ResponderEvent = (
    InterfaceAdded
    | InterfaceRemoved
    | InterfaceFailed
    | Counters
    | SendFailed
    | AddressConflict
    | InterfacesChanged
    | ResponderRestarted
    | ResponderNotStarted
)
