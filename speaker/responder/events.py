"""What the layer 2 responder has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.addresses import IPAddress
from speaker.layer2.topology import Wire


@dataclass(frozen=True, slots=True)
class InterfaceAdded:
    """This interface answers now, in this protocol: ``ARP`` or ``NDP``."""

    interface: str
    protocol: str


@dataclass(frozen=True, slots=True)
class InterfaceRemoved:
    """This interface answers no more: it went down or away, has a master or no IPv6 now.

    Or there is no IPv6 address any more to answer for.
    """

    interface: str
    protocol: str


@dataclass(frozen=True, slots=True)
class InterfaceFailed:
    """This interface should answer and can't, or not for all. It is tried again every 10 s."""

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
    """What happened since the last report. ``drops`` counts frames without answer, by reason."""

    addresses: Mapping[IPAddress, AddressCounters]
    drops: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendFailed:
    """The kernel did not take ``count`` frames, replies or gratuitous ones."""

    interface: str
    address: IPAddress
    gratuitous: bool
    error: str
    count: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """Somebody else said ``count`` times that one of our addresses is at his MAC address."""

    interface: str
    address: IPAddress
    mac: str
    count: int


@dataclass(frozen=True, slots=True)
class WiresChanged:
    """These interfaces are to answer now, and they are on these subnets."""

    wires: tuple[Wire, ...]


@dataclass(frozen=True, slots=True)
class ResponderRestarted:
    """The process died and a new one took over, with every address. ``status`` is how it ended.

    A negative status is the number of the signal that killed it.
    """

    status: int


@dataclass(frozen=True, slots=True)
class ResponderNotStarted:
    """The process can't be started, in words; it is tried again."""

    error: str


ResponderEvent = (
    InterfaceAdded
    | InterfaceRemoved
    | InterfaceFailed
    | Counters
    | SendFailed
    | Claimed
    | WiresChanged
    | ResponderRestarted
    | ResponderNotStarted
)
