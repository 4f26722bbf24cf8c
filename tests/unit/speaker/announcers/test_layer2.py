"""Layer 2 announcer: what the responder is called with, and its events in log and metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from metallb_py.addresses import IPAddress
from metallb_py.model.config import Pool, Protocol
from metallb_py.runtime.log import Logger
from speaker.announcers.layer2 import Layer2Announcer, LinkEvent
from speaker.decision import Announcement
from speaker.layer2.topology import NodeInterface
from speaker.linux.worker_process import WorkerEvent, WorkerNotStarted, WorkerRestarted
from speaker.metrics import SpeakerMetrics
from speaker.responder.events import (
    AddressConflict,
    Counters,
    InterfaceAdded,
    InterfaceFailed,
    InterfaceRemoved,
    InterfacesChanged,
    ResponderEvent,
    SendFailed,
)
from speaker.responder.report import AddressCounters

A, B, A6 = map(ip_address, ("192.0.2.2", "192.0.2.1", "2001:db8::1"))
POOL = Pool("blue", Protocol.LAYER2, (ip_network("192.0.2.0/24"),), interfaces=("eth0", "eth1"))


class RecordingResponder:
    """A responder that records its calls, and runs until it is cancelled."""

    def __init__(self, *events: ResponderEvent | WorkerEvent) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.is_running = False
        self._events = events

    def announce(self, address: IPAddress, interfaces: tuple[str, ...] = ()) -> None:
        self.calls.append(("announce", address, interfaces))

    def withdraw(self, address: IPAddress, *, linger: bool = False) -> None:
        self.calls.append(("withdraw", address, linger))

    async def run(self, on_event: Callable[[ResponderEvent | WorkerEvent], None]) -> None:
        for event in self._events:
            on_event(event)
        self.is_running = True
        await asyncio.Event().wait()


class Harness:
    """An announcer with its responder, log, metrics and link events."""

    def __init__(self, *events: ResponderEvent | WorkerEvent) -> None:
        self.lines: list[str] = []
        self.metrics = SpeakerMetrics()
        self.link_events: list[LinkEvent] = []
        self.responder = RecordingResponder(*events)
        self.announcer = Layer2Announcer(
            self.responder, Logger(write=self.lines.append), self.metrics, self.link_events.append
        )

    async def run(self) -> None:
        """Run the announcer until the responder has reported its events."""
        task = asyncio.create_task(self.announcer.run())
        while not self.responder.is_running:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines, without their callers."""
        lines = [json.loads(line) for line in self.lines]
        return [{key: line[key] for key in line if key not in ("caller", "ts")} for line in lines]


def announcement(*addresses: IPAddress) -> Announcement:
    return Announcement(addresses, POOL)


def test_an_announced_address_is_answered_on_the_interfaces_of_its_pool() -> None:
    harness = Harness()
    harness.announcer.announce("default/web", announcement(A, A6))
    assert harness.responder.calls == [
        ("announce", A, ("eth0", "eth1")),
        ("announce", A6, ("eth0", "eth1")),
    ]


def test_a_changed_announcement_withdraws_the_addresses_that_it_no_longer_has() -> None:
    harness = Harness()
    harness.announcer.announce("default/web", announcement(A, A6))
    harness.responder.calls.clear()
    harness.announcer.announce("default/web", announcement(B))
    assert harness.responder.calls == [
        ("withdraw", A, False),
        ("withdraw", A6, False),
        ("announce", B, ("eth0", "eth1")),
    ]


def test_a_shared_address_is_withdrawn_with_its_last_service() -> None:
    harness = Harness()
    for key in ("default/dns-tcp", "default/dns-udp"):
        harness.announcer.announce(key, announcement(A))
    harness.responder.calls.clear()
    harness.announcer.withdraw("default/dns-tcp", handed_over=False)
    assert harness.responder.calls == []
    harness.announcer.withdraw("default/dns-udp", handed_over=False)
    assert harness.responder.calls == [("withdraw", A, False)]
    harness.announcer.withdraw("default/dns-udp", handed_over=False)
    assert len(harness.responder.calls) == 1


async def test_a_service_that_is_handed_over_lingers_and_delays_the_end() -> None:
    harness = Harness()
    harness.announcer.announce("default/web", announcement(A, B))
    harness.responder.calls.clear()
    await harness.announcer.wait_drained()  # at once: no handover has begun
    harness.announcer.withdraw("default/web", handed_over=True)
    assert harness.responder.calls == [("withdraw", B, True), ("withdraw", A, True)]
    draining = asyncio.create_task(harness.announcer.wait_drained())
    await asyncio.sleep(0)
    assert not draining.done()
    draining.cancel()
    await asyncio.wait([draining])


async def test_counters_are_added_to_the_metrics_of_each_address() -> None:
    counters = Counters({A: AddressCounters(3, 2, 1)}, {"Malformed": 7})
    harness = Harness(counters, counters)
    await harness.run()
    page = harness.metrics.render()[0].decode()
    assert 'metallb_layer2_requests_received{ip="192.0.2.2"} 6.0' in page
    assert 'metallb_layer2_responses_sent{ip="192.0.2.2"} 4.0' in page
    assert 'metallb_layer2_gratuitous_sent{ip="192.0.2.2"} 2.0' in page
    assert 'metallb_layer2_dropped_total{reason="Malformed"} 14.0' in page
    assert harness.log == []


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            InterfaceAdded("eth0", "ARP"),
            {
                "level": "info",
                "event": "createARPResponder",
                "interface": "eth0",
                "msg": "created ARP responder for interface",
            },
        ),
        (
            InterfaceRemoved("eth0", "NDP"),
            {
                "level": "info",
                "event": "deleteNDPResponder",
                "interface": "eth0",
                "msg": "deleted NDP responder for interface",
            },
        ),
        (
            InterfaceFailed("eth0", "ARP", "Operation not permitted"),
            {
                "level": "error",
                "op": "createARPResponder",
                "interface": "eth0",
                "error": "Operation not permitted",
                "msg": "failed to create ARP responder",
            },
        ),
        (
            SendFailed("eth0", A, True, "Network is down", 2),
            {
                "level": "error",
                "op": "gratuitousAnnounce",
                "interface": "eth0",
                "ip": "192.0.2.2",
                "count": 2,
                "error": "Network is down",
                "msg": "failed to make gratuitous ARP announcement",
            },
        ),
        (
            SendFailed("eth0", A6, False, "Network is down", 1),
            {
                "level": "error",
                "op": "ndpReply",
                "interface": "eth0",
                "ip": "2001:db8::1",
                "count": 1,
                "error": "Network is down",
                "msg": "failed to send NDP reply",
            },
        ),
        (
            WorkerRestarted(-9),
            {
                "level": "error",
                "event": "responderRestarted",
                "status": -9,
                "msg": "layer 2 responder died, a new one took over",
            },
        ),
        (
            WorkerNotStarted("Too many open files"),
            {
                "level": "error",
                "op": "startResponder",
                "error": "Too many open files",
                "msg": "layer 2 responder can't be started",
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_event_is_logged(
    event: ResponderEvent | WorkerEvent, line: dict[str, object]
) -> None:
    harness = Harness(event)
    await harness.run()
    assert harness.log == [line]
    assert harness.link_events == []


async def test_interfaces_and_conflicts_are_passed_on_in_order() -> None:
    changed = InterfacesChanged((NodeInterface("eth0", "02:00:00:00:00:07"),))
    conflict = AddressConflict("eth0", A, "02:00:00:00:00:09", 4)
    harness = Harness(changed, conflict)
    await harness.run()
    assert harness.link_events == [changed, conflict]
    assert harness.log == []


async def test_node_is_ready_while_the_responder_process_runs() -> None:
    harness = Harness()
    assert not harness.announcer.ready().ok
    await harness.run()
    assert harness.announcer.ready().ok
