"""Client of the responder process: starts it, sends commands, receives reports, restarts it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Final

import msgspec

from metallb_py.addresses import IPAddress
from metallb_py.protocols.ethernet import MacAddress, format_mac
from speaker.layer2.topology import NodeInterface
from speaker.linux.channel import Assembly, ChannelBrokenError
from speaker.linux.subprocess import (
    RESTART,
    STABLE_AFTER,
    NotStartedError,
    helper_process,
    receive,
    send,
)
from speaker.responder.events import (
    AddressConflict,
    AddressCounters,
    Counters,
    InterfaceAdded,
    InterfaceFailed,
    InterfaceRemoved,
    InterfacesChanged,
    ResponderEvent,
    ResponderNotStarted,
    ResponderRestarted,
    SendFailed,
)
from speaker.responder.gratuitous import WINDOW
from speaker.responder.io.messages import (
    ADDRESSES,
    Command,
    Disown,
    InterfaceAddresses,
    InterfaceState,
    Own,
    Report,
    decode_report,
    encode,
    encode_settings,
)
from speaker.responder.settings import Settings

_PROCESS: Final = "speaker.responder.io.process"


class Responder:
    """Answers for the announced addresses, by means of the responder process.

    The addresses are kept here, so the process can be replaced at any time. An instance can be
    created in any thread; ``announce`` and ``withdraw`` have to be called in the event loop that
    runs ``run``, and do not block.
    """

    def __init__(
        self, on_event: Callable[[ResponderEvent], None], settings: Settings | None = None
    ) -> None:
        self._on_event = on_event
        self._settings = settings or Settings()
        # For each address the time of its first announcement, on the loop's clock, and the
        # patterns of its interfaces.
        self._announced: dict[IPAddress, tuple[float, tuple[str, ...]]] = {}
        # The same, as last sent to the process.
        self._sent: dict[IPAddress, tuple[float, tuple[str, ...]]] = {}
        self._handed_over: set[IPAddress] = set()  # withdrawn, and announced by another node
        self._changed = asyncio.Event()
        self._running = False
        # The error by interface and protocol; empty where there is none.
        self._states: dict[tuple[str, str], str] = {}

    @property
    def is_running(self) -> bool:
        """Whether the process runs; false between its death and the restart."""
        return self._running

    def announce(self, address: IPAddress, interfaces: tuple[str, ...] = ()) -> None:
        """Answer for an address from now on, and announce it to the neighbors.

        ``interfaces`` are patterns of the names of the interfaces that may answer; if empty, all
        may. No effect if the address is announced with the same patterns already.
        """
        since, before = self._announced.get(address, (None, ()))
        if since is None or before != interfaces:
            now = asyncio.get_running_loop().time()
            self._announced[address] = (now if since is None else since, interfaces)
            self._changed.set()

    def withdraw(self, address: IPAddress, *, linger: bool = False) -> None:
        """Stop answering for an address. One that is not announced is ignored.

        With ``linger`` another node takes it over: answer until the announcement of the new owner
        is received, for one second at most.
        """
        if self._announced.pop(address, None) is not None:
            (self._handed_over.add if linger else self._handed_over.discard)(address)
            self._changed.set()

    async def run(self) -> None:
        """Keep a process running until cancelled; then end it."""
        loop = asyncio.get_running_loop()
        status: int | None = None
        failures = 0
        while True:
            started = loop.time()
            try:
                async with helper_process(_PROCESS, encode_settings(self._settings)) as (
                    process,
                    control,
                ):
                    if status is not None:
                        self._on_event(ResponderRestarted(status))
                    await self._run_channel(control)
            except NotStartedError as error:
                self._on_event(ResponderNotStarted(str(error)))
                failures += 1
                await asyncio.sleep(RESTART.delay(failures))
                continue
            status = process.returncode or 0
            failures = 0 if loop.time() - started >= STABLE_AFTER else failures + 1
            await asyncio.sleep(RESTART.delay(failures - 1))

    async def _run_channel(self, control: socket.socket) -> None:
        """Send commands to a process and receive its reports until it ends."""
        self._sent.clear()
        self._changed.set()
        self._running = True
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send_loop(control), name="responder-send")
            await self._receive_loop(control)
            self._running = False
            sending.cancel()

    async def _send_loop(self, control: socket.socket) -> None:
        """Send changes of the announced addresses to the process, until the channel is closed."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                await self._changed.wait()
                self._changed.clear()
                for command in self._take_commands(loop.time()):
                    await send(control, encode(command))

    async def _receive_loop(self, control: socket.socket) -> None:
        assembly = Assembly()
        # A process that sends an invalid report is replaced.
        broken = (ConnectionError, ChannelBrokenError, msgspec.DecodeError, ValueError)
        with contextlib.suppress(*broken):
            while (message := await receive(control, assembly)) is not None:
                self._report(decode_report(message))

    def _take_commands(self, now: float) -> tuple[Command, ...]:
        """Return the commands for the changes since the last call, which count as sent."""
        sent, self._sent = self._sent, dict(self._announced)
        handed_over, self._handed_over = self._handed_over, set()
        lost = sent.keys() - self._announced.keys()
        # An address that was withdrawn and announced again has another time: it is a takeover.
        gained = {a for a, state in self._announced.items() if sent.get(a) != state}
        # After a restart of the process, neighbors have valid entries for older addresses: same
        # address, same MAC.
        fresh = {address for address in gained if now - self._announced[address][0] < WINDOW}
        return (
            *(Disown(batch) for batch in _batches(lost - handed_over)),
            *(Disown(batch, linger=True) for batch in _batches(lost & handed_over)),
            *self._own(gained - fresh, takeover=False),
            *self._own(fresh, takeover=True),
        )

    def _own(self, addresses: set[IPAddress], *, takeover: bool) -> Iterator[Own]:
        all_patterns = {self._announced[address][1] for address in addresses}
        for interfaces in sorted(all_patterns):
            group = {a for a in addresses if self._announced[a][1] == interfaces}
            for batch in _batches(group):
                yield Own(batch, takeover, interfaces)

    def _report(self, report: Report) -> None:
        if report.interfaces is not None:
            self._report_changes(report.interfaces)
        if report.interface_addresses is not None:
            self._on_event(InterfacesChanged(tuple(map(_interface, report.interface_addresses))))
        if report.counts or report.drops:
            counted = {
                ip_address(counts.address): AddressCounters(
                    counts.requests, counts.responses, counts.gratuitous
                )
                for counts in report.counts
            }
            self._on_event(Counters(counted, report.drops))
        for conflict in report.conflicts:
            mac = format_mac(MacAddress(conflict.mac))
            address = ip_address(conflict.address)
            self._on_event(AddressConflict(conflict.interface, address, mac, conflict.count))
        for failure in report.failures:
            address = ip_address(failure.address)
            self._on_event(
                SendFailed(
                    failure.interface, address, failure.gratuitous, failure.error, failure.count
                )
            )

    def _report_changes(self, reported: Sequence[InterfaceState]) -> None:
        """Report changes of the interfaces; none if a restarted process has the same ones."""
        before = self._states
        self._states = {(state.name, state.protocol): state.error for state in reported}
        for (name, protocol), error in before.items():
            if not error and self._states.get((name, protocol)) != "":
                self._on_event(InterfaceRemoved(name, protocol))
        for (name, protocol), error in self._states.items():
            if before.get((name, protocol)) == error:
                continue
            if error:
                self._on_event(InterfaceFailed(name, protocol, error))
            else:
                self._on_event(InterfaceAdded(name, protocol))


def _interface(state: InterfaceAddresses) -> NodeInterface:
    subnets = (ip_network(subnet) for subnet in state.subnets)
    addresses = map(ip_address, state.addresses)
    mac = format_mac(MacAddress(state.mac))
    return NodeInterface(state.name, mac, tuple(subnets), tuple(addresses))


def _batches(addresses: set[IPAddress]) -> Iterator[tuple[bytes, ...]]:
    packed = [address.packed for address in addresses]
    for start in range(0, len(packed), ADDRESSES):
        yield tuple(packed[start : start + ADDRESSES])
