"""Events that the speaker makes of the reports of the responder process."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from speaker.layer2.topology import NodeInterface
from speaker.responder.events import (
    AddressConflict,
    Counters,
    InterfaceAdded,
    InterfaceFailed,
    InterfaceRemoved,
    InterfacesChanged,
    SendFailed,
    events_in,
)
from speaker.responder.report import (
    AddressCounters,
    Conflict,
    InterfaceAddresses,
    InterfaceState,
    Report,
    SendFailure,
)

A, A6 = b"\xc0\x00\x02\x01", bytes.fromhex("20010db8000000000000000000000001")
MAC = b"\2\0\0\0\0\7"
ETH0, ETH0_NDP = InterfaceState("eth0", "ARP", ""), InterfaceState("eth0", "NDP", "")
DENIED = InterfaceState("eth0", "ARP", "Operation not permitted")
DOWN = InterfaceState("eth0", "ARP", "Network is down")


@pytest.mark.parametrize(
    ("before", "now", "events"),
    [
        ((), (ETH0, ETH0_NDP), [InterfaceAdded("eth0", "ARP"), InterfaceAdded("eth0", "NDP")]),
        ((ETH0, ETH0_NDP), (ETH0,), [InterfaceRemoved("eth0", "NDP")]),
        ((ETH0,), (ETH0,), []),  # as a process reports that was restarted
        ((), (DENIED,), [InterfaceFailed("eth0", "ARP", "Operation not permitted")]),
        ((DENIED,), (DENIED,), []),
        ((DENIED,), (DOWN,), [InterfaceFailed("eth0", "ARP", "Network is down")]),
        ((DENIED,), (ETH0,), [InterfaceAdded("eth0", "ARP")]),
        ((DENIED,), (), []),
        (
            (ETH0,),
            (DOWN,),
            [InterfaceRemoved("eth0", "ARP"), InterfaceFailed("eth0", "ARP", "Network is down")],
        ),
    ],
)
def test_changes_of_the_interfaces(
    before: tuple[InterfaceState, ...], now: tuple[InterfaceState, ...], events: list[object]
) -> None:
    assert list(events_in(Report(now), before)) == events


def test_unchanged_interfaces_and_an_empty_report_are_no_events() -> None:
    assert list(events_in(Report(), (ETH0,))) == []


def test_addresses_and_counters_have_the_types_of_the_speaker() -> None:
    report = Report(
        interface_addresses=(InterfaceAddresses("eth0", MAC, ((A[:3] + b"\0", 24),), (A,)),),
        counts={A: AddressCounters(3, 2, 1), A6: AddressCounters(0, 0, 5)},
        drops={"Malformed": 7},
        conflicts={Conflict("eth0", A, MAC): 4},
        failures={SendFailure("eth0", A6, True, "Network is down"): 9},
    )
    v4, v6 = ip_address("192.0.2.1"), ip_address("2001:db8::1")
    subnets = (ip_network("192.0.2.0/24"),)
    assert list(events_in(report, ())) == [
        InterfacesChanged((NodeInterface("eth0", "02:00:00:00:00:07", subnets, (v4,)),)),
        Counters({v4: AddressCounters(3, 2, 1), v6: AddressCounters(0, 0, 5)}, {"Malformed": 7}),
        AddressConflict("eth0", v4, "02:00:00:00:00:07", 4),
        SendFailed("eth0", v6, True, "Network is down", 9),
    ]


def test_drops_alone_are_counters_too() -> None:
    assert list(events_in(Report(drops={"VLAN": 1}), ())) == [Counters({}, {"VLAN": 1})]


@pytest.mark.parametrize("packed", [b"", b"\1\2\3", bytes(17)])
def test_what_is_no_address_is_an_error(packed: bytes) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        list(events_in(Report(counts={packed: AddressCounters(1, 1, 0)}), ()))
