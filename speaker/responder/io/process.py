"""Main program of the responder process: answers for the owned addresses and announces them.

It has few imports, so that it is small and starts fast. It ends with the speaker, when the socket
pair between them is closed.
"""

from __future__ import annotations

import gc
import socket
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Final, assert_never

from metallb_py.protocols.rtnetlink import (
    ADDRESS_GROUPS,
    LINK_GROUP,
    request_addresses,
    request_links,
)
from speaker.linux.capabilities import CAP_NET_RAW, confine
from speaker.linux.event_loop import EventLoop
from speaker.linux.netlink import Netlink
from speaker.responder.gratuitous import EVERY_INTERFACE, Burst, Gratuitous, Refresh
from speaker.responder.handover import Handover
from speaker.responder.io.messages import Disown, Own, decode_command, decode_settings, encode
from speaker.responder.io.sockets import PendingAnnouncements, ResponderSockets
from speaker.responder.links import LinkTable, excluding
from speaker.responder.report import InterfaceAddresses, InterfaceState, Tally
from speaker.responder.settings import Settings
from speaker.responder.subnets import SubnetTable


def follow_links() -> Netlink[LinkTable]:
    """Follow the network interfaces. Raises OSError if netlink is not available."""
    return Netlink(LinkTable(), LINK_GROUP, request_links)


def follow_subnets() -> Netlink[SubnetTable]:
    """Follow the subnets of the interfaces. Raises OSError if netlink is not available."""
    return Netlink(SubnetTable(), ADDRESS_GROUPS, request_addresses)


RESYNC_INTERVAL: Final = 10.0
"""Seconds between complete lists from the kernel, and between attempts to open failed sockets."""
REPORT_INTERVAL: Final = 1.0
"""Seconds between reports of counters; a changed interface is reported at once."""
# A thousand addresses may be taken over at once. Their announcements are sent in small batches,
# _BURST_PAUSE seconds apart: replies are sent in between, and no queue on the way overflows.
_FRAMES_PER_TURN: Final = 64
_BURST_PAUSE: Final = 0.005


_Reported = tuple[tuple[InterfaceState, ...], tuple[InterfaceAddresses, ...]]


class ResponderProcess:
    """The program of the process, called by its event loop."""

    def __init__(self, loop: EventLoop, settings: Settings) -> None:
        self._tally = Tally()
        self._ports = ResponderSockets(
            self._tally,
            loop.watch,
            loop.unwatch,
            excluding(settings.excluded),
            self._on_conflict,
            any_interface=settings.any_interface,
        )
        self._reported: _Reported = ((), ())
        self._owned: Mapping[bytes, tuple[str, ...]] = {}
        self._handover = Handover()
        self._gratuitous = Gratuitous()
        self._refresh = Refresh(settings.announce_interval)
        self._bursts: deque[Burst] = deque()  # due, and not yet sent
        self._next_bursts = 0.0
        self._links = follow_links()
        self._subnets = follow_subnets()
        self._next_resync = monotonic() + RESYNC_INTERVAL
        self._next_report = 0.0
        self._follow_interfaces()
        loop.watch(self._links.fileno(), self._receive_links)
        loop.watch(self._subnets.fileno(), self._receive_subnets)

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next."""
        deadlines = (
            self._next_resync,
            self._gratuitous.next_deadline(),
            self._refresh.next_deadline(),
            self._handover.next_deadline(),
            self._next_bursts if self._bursts else None,
        )
        return min(at for at in deadlines if at is not None)

    def handle_timeout(self, now: float) -> None:
        """Announce what is due, end handovers, and list the interfaces again."""
        self._bursts += self._gratuitous.handle_timeout(now)
        self._bursts += self._refresh.handle_timeout(now)
        if self._bursts and now >= self._next_bursts:
            self._next_bursts = now + _BURST_PAUSE
            self._send_bursts()
        if self._handover.handle_timeout(now):
            self._answer_for_owned()
        if now >= self._next_resync:
            self._next_resync = now + RESYNC_INTERVAL
            self._links.resync()
            self._subnets.resync()
            self._follow_interfaces()  # retries sockets that could not be opened

    def receive_commands(self, messages: Iterable[bytes]) -> None:
        """Apply commands together, so that the filters are compiled once for them."""
        owned = dict(self._owned)
        takeovers: list[bytes] = []
        for message in messages:
            command = decode_command(message)
            match command:
                case Own(addresses, takeover, interfaces):
                    owned.update(dict.fromkeys(addresses, interfaces))
                    takeovers += addresses if takeover else ()
                case Disown(addresses, linger):
                    if linger:
                        moved = {a: owned[a] for a in addresses if a in owned}
                        self._handover.begin(moved, monotonic())
                    for address in addresses:
                        owned.pop(address, None)
                case _:
                    assert_never(command)
        self._own(owned)
        # Announced after the filters are in place: requests that follow must be answered.
        self._announce(address for address in takeovers if address in owned)

    def _own(self, owned: Mapping[bytes, tuple[str, ...]]) -> None:
        if owned == self._owned:
            return
        self._gratuitous.withdraw(self._owned.keys() - owned.keys())
        self._refresh.own(frozenset(owned), monotonic())
        self._owned = owned
        self._handover.set_owned(owned.keys(), monotonic())
        self._answer_for_owned()

    def _answer_for_owned(self) -> None:
        self._announce_pending(
            self._ports.own({**self._handover.interfaces_by_address, **self._owned})
        )

    def _on_conflict(self, address: bytes) -> None:
        """End the handover of an address, as its new owner has announced it."""
        self._handover.new_owner_announced(address, monotonic())

    def _announce(self, addresses: Iterable[bytes], interface: int = EVERY_INTERFACE) -> None:
        now = monotonic()
        for address in addresses:
            self._bursts += self._gratuitous.announce(address, now, interface)

    def _send_bursts(self) -> None:
        frames = 0
        while self._bursts and frames < _FRAMES_PER_TURN:
            burst = self._bursts.popleft()
            if burst.address in self._owned:  # it may have been lost while queued
                frames += self._ports.burst(burst)

    def _receive_links(self) -> None:
        self._links.receive()
        self._follow_interfaces()

    def _receive_subnets(self) -> None:
        table = self._subnets.table
        before = table.subnets(), table.addresses()
        self._subnets.receive()
        if (table.subnets(), table.addresses()) != before:
            self._follow_interfaces()

    def _follow_interfaces(self) -> None:
        table = self._subnets.table
        links = self._links.table.entries
        self._announce_pending(self._ports.reconcile(links, table.subnets(), table.addresses()))
        if self._states() != self._reported:
            self._next_report = 0.0

    def _announce_pending(self, pending: PendingAnnouncements) -> None:
        """Announce addresses on the interfaces on which they are new."""
        for index, addresses in pending.items():
            self._announce((a for a in addresses if a in self._owned), index)

    def _states(self) -> _Reported:
        return (self._ports.states, self._ports.interface_addresses)

    def next_report(self) -> float | None:
        """Return when the next report is due; None if nothing is to be reported."""
        unreported = bool(self._tally) or self._states() != self._reported
        return self._next_report if unreported else None

    def report(self, now: float) -> bytes:
        """Return a report of the interfaces, if they changed, and of the counters."""
        self._next_report = now + REPORT_INTERVAL
        self._ports.count_overruns()
        states, addresses = now_reported = self._states()
        known_states, known_addresses = self._reported
        self._reported = now_reported
        report = self._tally.take_report(
            None if states == known_states else states,
            None if addresses == known_addresses else addresses,
        )
        return encode(report)


def main() -> None:
    """Run the responder. Arguments: descriptor of the channel's socket, encoded settings."""
    control = socket.socket(fileno=int(sys.argv[1]))
    confine(CAP_NET_RAW)
    loop = EventLoop(control)
    process = ResponderProcess(loop, decode_settings(sys.argv[2]))
    gc.freeze()  # objects that exist now live on: the collector need not examine them again
    loop.run(process)


if __name__ == "__main__":
    main()
