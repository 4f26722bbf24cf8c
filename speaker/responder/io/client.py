"""The speaker's handle on its responder process: starts it, feeds it, hears it, restarts it."""

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
from speaker.layer2.topology import Wire
from speaker.linux.channel import Assembly, ChannelBrokenError
from speaker.linux.subprocess import (
    GOOD_LIFE,
    RESTART,
    NotStartedError,
    helper_process,
    receive,
    send,
)
from speaker.responder.events import (
    AddressCounters,
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
from speaker.responder.gratuitous import WINDOW
from speaker.responder.io.messages import (
    ADDRESSES,
    Command,
    Disown,
    InterfaceState,
    Own,
    Report,
    WireState,
    decode_report,
    encode,
    encode_settings,
)
from speaker.responder.settings import Settings

_PROCESS: Final = "speaker.responder.io.process"


class Responder:
    """Answers for the announced addresses, through a process of its own.

    The addresses are kept here, so the process can be replaced at any time. Create it anywhere;
    ``announce`` and ``withdraw`` belong to the loop that runs ``run``, and never wait.
    """

    def __init__(
        self, on_event: Callable[[ResponderEvent], None], settings: Settings | None = None
    ) -> None:
        self._on_event = on_event
        self._settings = settings or Settings()
        # Since when, on the loop's clock, and on which interfaces.
        self._announced: dict[IPAddress, tuple[float, tuple[str, ...]]] = {}
        self._told: dict[IPAddress, tuple[float, tuple[str, ...]]] = {}  # as the process knows it
        self._leaving: set[IPAddress] = set()  # withdrawn, and taken over by another node
        self._changed = asyncio.Event()
        self._running = False
        # By interface and protocol: the error, empty where there is none.
        self._states: dict[tuple[str, str], str] = {}

    @property
    def is_running(self) -> bool:
        """Whether the process is there; between a death and the restart it is not."""
        return self._running

    def announce(self, address: IPAddress, interfaces: tuple[str, ...] = ()) -> None:
        """Answer for an address from now on, and tell the neighbors.

        ``interfaces`` are patterns of the names of those that may answer; without any, all may.
        Changes nothing where it is announced there already.
        """
        since, where = self._announced.get(address, (None, ()))
        if since is None or where != interfaces:
            now = asyncio.get_running_loop().time()
            self._announced[address] = (now if since is None else since, interfaces)
            self._changed.set()

    def withdraw(self, address: IPAddress, *, linger: bool = False) -> None:
        """Answer for an address no more. One that is not announced is ignored.

        With ``linger`` another node takes it over: answer until that is heard of, for a second at
        the most.
        """
        if self._announced.pop(address, None) is not None:
            (self._leaving.add if linger else self._leaving.discard)(address)
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
                    await self._converse(control)
            except NotStartedError as error:
                self._on_event(ResponderNotStarted(str(error)))
                failures += 1
                await asyncio.sleep(RESTART.delay(failures))
                continue
            status = process.returncode or 0
            failures = 0 if loop.time() - started >= GOOD_LIFE else failures + 1
            await asyncio.sleep(RESTART.delay(failures - 1))

    async def _converse(self, control: socket.socket) -> None:
        """Feed and hear a process until it is gone."""
        self._told.clear()
        self._changed.set()
        self._running = True
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(self._feed(control), name="responder-feed")
            await self._hear(control)
            self._running = False
            feeding.cancel()

    async def _feed(self, control: socket.socket) -> None:
        """Tell the process what is announced, as it changes, until it hears no more."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                await self._changed.wait()
                self._changed.clear()
                for command in self._news(loop.time()):
                    await send(control, encode(command))

    async def _hear(self, control: socket.socket) -> None:
        assembly = Assembly()
        # A process that sends what is no report is replaced.
        broken = (ConnectionError, ChannelBrokenError, msgspec.DecodeError, ValueError)
        with contextlib.suppress(*broken):
            while (message := await receive(control, assembly)) is not None:
                self._report(decode_report(message))

    def _news(self, now: float) -> tuple[Command, ...]:
        """Return what the process does not know yet, and take it as told."""
        told, self._told = self._told, dict(self._announced)
        leaving, self._leaving = self._leaving, set()
        lost = told.keys() - self._announced.keys()
        # One that was withdrawn and announced again has another time: a takeover all the same.
        gained = {a for a, state in self._announced.items() if told.get(a) != state}
        # After a restart the neighbors know the older ones: same address, same MAC.
        fresh = {address for address in gained if now - self._announced[address][0] < WINDOW}
        return (
            *(Disown(batch) for batch in _batches(lost - leaving)),
            *(Disown(batch, linger=True) for batch in _batches(lost & leaving)),
            *self._own(gained - fresh, takeover=False),
            *self._own(fresh, takeover=True),
        )

    def _own(self, addresses: set[IPAddress], *, takeover: bool) -> Iterator[Own]:
        places = {self._announced[address][1] for address in addresses}
        for interfaces in sorted(places):
            there = {a for a in addresses if self._announced[a][1] == interfaces}
            for batch in _batches(there):
                yield Own(batch, takeover, interfaces)

    def _report(self, report: Report) -> None:
        if report.interfaces is not None:
            self._compare(report.interfaces)
        if report.wires is not None:
            self._on_event(WiresChanged(tuple(map(_wire, report.wires))))
        if report.counts or report.drops:
            counted = {
                ip_address(counts.address): AddressCounters(
                    counts.requests, counts.responses, counts.gratuitous
                )
                for counts in report.counts
            }
            self._on_event(Counters(counted, report.drops))
        for claim in report.claims:
            mac = format_mac(MacAddress(claim.mac))
            address = ip_address(claim.address)
            self._on_event(Claimed(claim.interface, address, mac, claim.count))
        for failure in report.failures:
            address = ip_address(failure.address)
            self._on_event(
                SendFailed(
                    failure.interface, address, failure.gratuitous, failure.error, failure.count
                )
            )

    def _compare(self, reported: Sequence[InterfaceState]) -> None:
        """Tell the changes of the interfaces. A restarted process that has the same makes none."""
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


def _wire(state: WireState) -> Wire:
    subnets = (ip_network(subnet) for subnet in state.subnets)
    addresses = map(ip_address, state.addresses)
    mac = format_mac(MacAddress(state.mac))
    return Wire(state.name, mac, tuple(subnets), tuple(addresses))


def _batches(addresses: set[IPAddress]) -> Iterator[tuple[bytes, ...]]:
    packed = [address.packed for address in addresses]
    for start in range(0, len(packed), ADDRESSES):
        yield tuple(packed[start : start + ADDRESSES])
