"""Layer 2 announcer: the responder answers for the addresses of the services of this node.

Also the log and metrics of the responder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, assert_never

from metallb_py.addresses import IPAddress
from metallb_py.rate_limit import Rate
from metallb_py.runtime.httpd import Check
from metallb_py.runtime.log import LimitedLog, Logger
from speaker.decision import Announcement
from speaker.layer2.ownership import Owned
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
from speaker.responder.handover import LINGER

LinkEvent = InterfacesChanged | AddressConflict
"""Events of the responder that are handled outside of the announcer."""

INTERFACES = Rate(burst=2000, per_second=5)
"""Limit of log lines about interfaces: every pod that starts or ends on the node causes one."""


class Responder(Protocol):
    """Answers for addresses: ``speaker.responder.io.client.Responder``, or a test's twin of it."""

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""

    def announce(self, address: IPAddress, interfaces: tuple[str, ...] = ()) -> None:
        """Answer for an address from now on, on interfaces that match one of the patterns."""

    def withdraw(self, address: IPAddress, *, linger: bool = False) -> None:
        """Stop answering for an address, with ``linger`` once its new owner announces it."""

    async def run(self, on_event: Callable[[ResponderEvent | WorkerEvent], None]) -> None:
        """Run until cancelled."""


class Layer2Announcer:
    """Announces by ARP replies and neighbor advertisements, from the responder process."""

    def __init__(
        self,
        responder: Responder,
        log: Logger,
        metrics: SpeakerMetrics,
        on_link_event: Callable[[LinkEvent], None],
    ) -> None:
        self._responder = responder
        self._log = log
        self._interfaces = LimitedLog(log, INTERFACES, INTERFACES)
        self._on_link_event = on_link_event
        self._metrics = metrics
        self._owned = Owned()
        self._drained = 0.0  # when the last handover ends, on the loop's clock

    def announce(self, key: str, announcement: Announcement) -> None:
        """Answer for a service's addresses; replaces its earlier ones."""
        interfaces = announcement.pool.interfaces
        for address in sorted(self._owned.announce(key, announcement.addresses), key=int):
            self._responder.withdraw(address)
        for address in announcement.addresses:
            self._responder.announce(address, interfaces)

    def withdraw(self, key: str, *, handed_over: bool) -> None:
        """Stop answering for a service's addresses, except those that other services share.

        One that is handed over is answered for until the new owner announced it, or for LINGER.
        """
        for address in sorted(self._owned.withdraw(key), key=int):
            self._responder.withdraw(address, linger=handed_over)
        if handed_over:
            self._drained = asyncio.get_running_loop().time() + LINGER

    def ready(self) -> Check:
        """Return whether the responder process runs."""
        return Check("layer2-responder", self._responder.is_running, "its process is not running")

    async def wait_drained(self) -> None:
        """Wait until every handover has ended."""
        await asyncio.sleep(self._drained - asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Keep the responder running until cancelled."""
        await self._responder.run(self._on_event)

    def _on_event(self, event: ResponderEvent | WorkerEvent) -> None:
        match event:
            case Counters():
                self._count(event)
            case InterfaceAdded(interface, protocol):
                self._interfaces.of(InterfaceAdded).info(
                    f"created {protocol} responder for interface",
                    event=f"create{protocol}Responder",
                    interface=interface,
                )
            case InterfaceRemoved(interface, protocol):
                self._interfaces.of(InterfaceRemoved).info(
                    f"deleted {protocol} responder for interface",
                    event=f"delete{protocol}Responder",
                    interface=interface,
                )
            case InterfaceFailed(interface, protocol, error):
                self._interfaces.of(InterfaceFailed).error(
                    f"failed to create {protocol} responder",
                    op=f"create{protocol}Responder",
                    interface=interface,
                    error=error,
                )
            case SendFailed():
                self._log_send_failure(event)
            case InterfacesChanged() | AddressConflict():
                self._on_link_event(event)
            case WorkerRestarted(status):
                self._log.error(
                    "layer 2 responder died, a new one took over",
                    event="responderRestarted",
                    status=status,
                )
            case WorkerNotStarted(error):
                self._log.error(
                    "layer 2 responder can't be started", op="startResponder", error=error
                )
            case _:
                assert_never(event)

    def _count(self, counters: Counters) -> None:
        for address, counts in counters.addresses.items():
            self._metrics.layer2_requests.add(counts.requests, str(address))
            self._metrics.layer2_responses.add(counts.responses, str(address))
            self._metrics.layer2_gratuitous.add(counts.gratuitous, str(address))
        for reason, count in counters.drops.items():
            self._metrics.layer2_dropped.labels(reason).inc(count)

    def _log_send_failure(self, event: SendFailed) -> None:
        protocol = "ARP" if event.address.version == 4 else "NDP"
        if event.gratuitous:
            what, operation = f"make gratuitous {protocol} announcement", "gratuitousAnnounce"
        else:
            what, operation = f"send {protocol} reply", f"{protocol.lower()}Reply"
        self._log.error(
            f"failed to {what}",
            op=operation,
            interface=event.interface,
            ip=str(event.address),
            count=event.count,
            error=event.error,
        )
