"""Layer 2: the responder answers for the addresses of the services that this node owns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from metallb_py.config.model import Config
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import SpeakerMetrics
from speaker.decision import Announcement
from speaker.drivers.responder import Responder
from speaker.drivers.responder_events import (
    AddressNotSupported,
    Counters,
    InterfaceAdded,
    InterfaceFailed,
    InterfaceRemoved,
    ResponderEvent,
    ResponderRestarted,
    SendFailed,
)
from speaker.layer2.owned import Owned, OwnershipChange


class Layer2Announcer:
    """Announces by answering ARP, from a process of its own."""

    def __init__(self, log: Logger, metrics: SpeakerMetrics) -> None:
        self._log = log
        self._metrics = metrics
        self._owned = Owned()
        self._responder = Responder(self._on_event)

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Nothing in a configuration concerns layer 2 but what announcements carry."""

    def announce(self, key: str, announcement: Announcement) -> None:
        """Answer for a service's addresses, in place of its earlier ones."""
        self._apply(self._owned.announce(key, announcement.addresses))

    def withdraw(self, key: str) -> None:
        """Answer no more, but for addresses that other services share."""
        self._apply(self._owned.withdraw(key))

    async def run(self) -> None:
        """Keep the responder running until cancelled."""
        await self._responder.run()

    def _apply(self, change: OwnershipChange) -> None:
        for address in sorted(change.lost, key=int):
            self._responder.withdraw(address)
        for address in sorted(change.gained, key=int):
            self._responder.announce(address)

    def _on_event(self, event: ResponderEvent) -> None:
        match event:
            case Counters():
                self._count(event)
            case InterfaceAdded(interface):
                self._log.info(
                    "created ARP responder for interface",
                    event="createARPResponder",
                    interface=interface,
                )
            case InterfaceRemoved(interface):
                self._log.info(
                    "deleted ARP responder for interface",
                    event="deleteARPResponder",
                    interface=interface,
                )
            case InterfaceFailed(interface, error):
                self._log.error(
                    "failed to create ARP responder",
                    op="createARPResponder",
                    interface=interface,
                    error=error,
                )
            case SendFailed():
                self._tell_send_failure(event)
            case ResponderRestarted(status):
                self._log.error(
                    "layer 2 responder died, a new one took over",
                    event="responderRestarted",
                    status=status,
                )
            case AddressNotSupported(address):
                self._log.error(
                    "failed to announce service",
                    op="setBalancer",
                    ip=str(address),
                    error="layer 2 answers for IPv4 alone: neighbor discovery is not there yet",
                )
            case _:
                assert_never(event)

    def _count(self, counters: Counters) -> None:
        for address, counts in counters.addresses.items():
            self._metrics.layer2_requests.add(str(address), counts.requests)
            self._metrics.layer2_responses.add(str(address), counts.responses)
            self._metrics.layer2_gratuitous.add(str(address), counts.gratuitous)

    def _tell_send_failure(self, event: SendFailed) -> None:
        what = "make gratuitous ARP announcement" if event.gratuitous else "send ARP reply"
        self._log.error(
            f"failed to {what}",
            op="gratuitousAnnounce" if event.gratuitous else "arpReply",
            interface=event.interface,
            ip=str(event.address),
            count=event.count,
            error=event.error,
        )
