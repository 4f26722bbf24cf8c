"""Layer 2: the responder answers for the addresses of the services that this node owns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import assert_never

from metallb_py.model.config import Config
from metallb_py.rate_limit import Rate
from metallb_py.runtime.log import LimitedLog, Logger
from metallb_py.runtime.metrics import SpeakerMetrics
from speaker.bgp.shutdown import Parting
from speaker.decision import Announcement
from speaker.layer2.ownership import Owned
from speaker.responder.events import (
    Claimed,
    Counters,
    InterfaceAdded,
    InterfaceFailed,
    InterfaceRemoved,
    ResponderEvent,
    ResponderNotStarted,
    ResponderRestarted,
    SendFailed,
    WiresChanged,
)
from speaker.responder.handover import LINGER
from speaker.responder.io.client import Responder
from speaker.responder.settings import Settings

# What the responder sees on the wire that concerns more than its own work.
Seen = WiresChanged | Claimed

INTERFACES = Rate(burst=2000, per_second=5)
"""Lines about interfaces: every pod that starts or ends on the node makes one."""


class Layer2Announcer:
    """Announces by answering ARP and neighbor discovery, from a process of its own."""

    def __init__(
        self,
        settings: Settings,
        log: Logger,
        metrics: SpeakerMetrics,
        on_seen: Callable[[Seen], None],
    ) -> None:
        self._log = log
        self._interfaces = LimitedLog(log, INTERFACES, INTERFACES)
        self._on_seen = on_seen
        self._metrics = metrics
        self._owned = Owned()
        self._settled = 0.0  # when the last handed-over address is let go, on the loop's clock
        self._responder = Responder(self._on_event, settings)

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Nothing in a configuration concerns layer 2 but what announcements carry."""

    def announce(self, key: str, announcement: Announcement) -> None:
        """Answer for a service's addresses, in place of its earlier ones."""
        interfaces = announcement.pool.interfaces
        change = self._owned.announce(key, announcement.addresses)
        for address in sorted(change.lost, key=int):
            self._responder.withdraw(address)
        for address in announcement.addresses:
            self._responder.announce(address, interfaces)

    def withdraw(self, key: str) -> None:
        """Answer no more, but for addresses that other services share."""
        self._let_go(key, linger=False)

    def hand_over(self, key: str) -> None:
        """The same, once the new owner is heard of."""
        self._let_go(key, linger=True)
        self._settled = asyncio.get_running_loop().time() + LINGER

    def complete(self) -> None:
        """Nothing waits for that here."""

    def part(self, parting: Parting) -> None:
        """Other nodes take over in any case."""

    @property
    def stays(self) -> bool:
        """Nothing does: other nodes take over at once."""
        return False

    @property
    def is_running(self) -> bool:
        """Whether the responder can answer."""
        return self._responder.is_running

    async def settle(self) -> None:
        """Wait until what was handed over is let go."""
        await asyncio.sleep(self._settled - asyncio.get_running_loop().time())

    def _let_go(self, key: str, *, linger: bool) -> None:
        for address in sorted(self._owned.withdraw(key).lost, key=int):
            self._responder.withdraw(address, linger=linger)

    async def run(self) -> None:
        """Keep the responder running until cancelled."""
        await self._responder.run()

    def _on_event(self, event: ResponderEvent) -> None:
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
                self._tell_send_failure(event)
            case WiresChanged() | Claimed():
                self._on_seen(event)
            case ResponderRestarted(status):
                self._log.error(
                    "layer 2 responder died, a new one took over",
                    event="responderRestarted",
                    status=status,
                )
            case ResponderNotStarted(error):
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

    def _tell_send_failure(self, event: SendFailed) -> None:
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
