"""Events of the responder in the speaker, made of the reports of its process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from metallb_py.addresses import IPAddress
from metallb_py.protocols.ethernet import MacAddress, format_mac
from speaker.layer2.topology import NodeInterface
from speaker.responder.report import AddressCounters, InterfaceAddresses, InterfaceState, Report


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


ResponderEvent = (
    InterfaceAdded
    | InterfaceRemoved
    | InterfaceFailed
    | Counters
    | SendFailed
    | AddressConflict
    | InterfacesChanged
)


def events_in(report: Report, before: tuple[InterfaceState, ...]) -> Iterator[ResponderEvent]:
    """Yield the events in a report; ``before`` are the interfaces of the last report with any.

    Raises ValueError where an address is not one.
    """
    if report.interfaces is not None:
        yield from _changes(before, report.interfaces)
    if report.interface_addresses is not None:
        yield InterfacesChanged(tuple(map(_interface, report.interface_addresses)))
    if report.counts or report.drops:
        counts = {ip_address(address): each for address, each in report.counts.items()}
        yield Counters(counts, report.drops)
    for conflict, count in report.conflicts.items():
        mac = format_mac(MacAddress(conflict.mac))
        yield AddressConflict(conflict.interface, ip_address(conflict.address), mac, count)
    for (interface, address, gratuitous, error), count in report.failures.items():
        yield SendFailed(interface, ip_address(address), gratuitous, error, count)


def _changes(
    before: tuple[InterfaceState, ...], now: tuple[InterfaceState, ...]
) -> Iterator[InterfaceAdded | InterfaceRemoved | InterfaceFailed]:
    """Yield the changes of the interfaces; none if a restarted process has the same ones."""
    errors_before = {(state.name, state.protocol): state.error for state in before}
    errors = {(state.name, state.protocol): state.error for state in now}
    for key, error in errors_before.items():
        if not error and errors.get(key) != "":
            yield InterfaceRemoved(*key)
    for key, error in errors.items():
        if errors_before.get(key) == error:
            continue
        if error:
            yield InterfaceFailed(*key, error)
        else:
            yield InterfaceAdded(*key)


def _interface(reported: InterfaceAddresses) -> NodeInterface:
    return NodeInterface(
        reported.name,
        format_mac(MacAddress(reported.mac)),
        tuple(map(ip_network, reported.subnets)),
        tuple(map(ip_address, reported.addresses)),
    )
