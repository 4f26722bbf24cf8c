"""Client of the responder process: sends it the announced addresses, returns events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from metallb_py.addresses import IPAddress
from speaker.linux.worker_process import WorkerEvent, WorkerProcess
from speaker.responder.events import ResponderEvent, events_in
from speaker.responder.gratuitous import WINDOW
from speaker.responder.io.messages import (
    ADDRESSES,
    Command,
    Disown,
    Own,
    decode_report,
    encode,
    encode_settings,
)
from speaker.responder.report import InterfaceState
from speaker.responder.settings import Settings

_PROCESS: Final = "speaker.responder.io.process"


class Responder:
    """Answers for the announced addresses, by means of the responder process.

    An instance can be created in any thread; ``announce`` and ``withdraw`` have to be called in
    the event loop that runs ``run``, and do not block.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._process: WorkerProcess[ResponderEvent] = WorkerProcess(
            _PROCESS,
            encode_settings(settings or Settings()),
            commands=self._take_commands,
            decode=self._decode,
        )
        # For each address the time of its first announcement, on the loop's clock, and the
        # patterns of its interfaces.
        self._announced: dict[IPAddress, tuple[float, tuple[str, ...]]] = {}
        # The same, as last sent to the process.
        self._sent: dict[IPAddress, tuple[float, tuple[str, ...]]] = {}
        self._handed_over: set[IPAddress] = set()  # withdrawn, and announced by another node
        self._interfaces: tuple[InterfaceState, ...] = ()  # as last reported

    @property
    def is_running(self) -> bool:
        """Whether the process runs; false between its death and the restart."""
        return self._process.is_running

    def announce(self, address: IPAddress, interfaces: tuple[str, ...] = ()) -> None:
        """Answer for an address from now on, and announce it to the neighbors.

        ``interfaces`` are patterns of the names of the interfaces that may answer; if empty, all
        may. No effect if the address is announced with the same patterns already.
        """
        since, before = self._announced.get(address, (None, ()))
        if since is None or before != interfaces:
            now = asyncio.get_running_loop().time()
            self._announced[address] = (now if since is None else since, interfaces)
            self._process.update()

    def withdraw(self, address: IPAddress, *, linger: bool = False) -> None:
        """Stop answering for an address. One that is not announced is ignored.

        With ``linger`` another node takes it over: answer until the announcement of the new owner
        is received, for one second at most.
        """
        if self._announced.pop(address, None) is not None:
            (self._handed_over.add if linger else self._handed_over.discard)(address)
            self._process.update()

    async def run(self, on_event: Callable[[ResponderEvent | WorkerEvent], None]) -> None:
        """Keep the process running until cancelled; then end it."""
        await self._process.run(on_event)

    def _take_commands(self, fresh: bool) -> list[bytes]:
        now = asyncio.get_running_loop().time()
        if fresh:
            self._sent = {}
        return [encode(command) for command in self._changes(now)]

    def _decode(self, message: bytes) -> Iterator[ResponderEvent]:
        report, before = decode_report(message), self._interfaces
        if report.interfaces is not None:
            self._interfaces = report.interfaces
        return events_in(report, before)

    def _changes(self, now: float) -> tuple[Command, ...]:
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


def _batches(addresses: set[IPAddress]) -> Iterator[tuple[bytes, ...]]:
    packed = [address.packed for address in addresses]
    for start in range(0, len(packed), ADDRESSES):
        yield tuple(packed[start : start + ADDRESSES])
