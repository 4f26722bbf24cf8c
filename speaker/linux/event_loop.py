"""Event loop of a worker process: epoll, the deadlines of the program, and the channel.

It imports as little as ``speaker.linux.channel``, since every import of a worker process costs
memory.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

from speaker.linux.channel import Channel

_FLUSH_INTERVAL: Final = 0.01  # seconds between attempts to send the rest of a report
_LONGEST_WAIT: Final = 3600.0  # seconds; epoll takes no infinite ones


class Worker(Protocol):
    """The program of a worker process. Times are monotonic seconds."""

    def receive_commands(self, messages: list[bytes]) -> None:
        """Apply the commands that arrived, the oldest first."""

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next; None for never."""

    def handle_timeout(self, now: float) -> None:
        """Act on every deadline that has passed."""

    def next_report(self) -> float | None:
        """Return when the next report is due; None if there is nothing to report."""

    def report(self, now: float) -> bytes | None:
        """Return an encoded report, which counts as reported; None if there is nothing to report.

        It is called when a report is due, and the speaker has read the previous one: so a slow
        reader gets fewer reports, and never a longer queue.
        """


class EventLoop:
    """Calls the handlers of readable descriptors, and the program when a deadline has passed.

    What was received before a deadline passed is handled before that deadline: after a time in
    which the process was not scheduled, a peer must not time out whose packets are queued here.
    """

    def __init__(self, control: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._channel = Channel(control)
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._next_flush = 0.0

    def watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        """Call a handler whenever the descriptor is readable."""
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor, which is about to be closed."""
        del self._handlers[descriptor]
        self._epoll.unregister(descriptor)

    def run(self, worker: Worker) -> None:
        """Run until the speaker closes the channel."""
        channel, clock, poll = self._channel, self._clock, self._epoll.poll

        def receive() -> None:
            if messages := list(channel.receive()):
                worker.receive_commands(messages)

        self.watch(channel.fileno(), receive)
        while not channel.ended:
            deadline = self._next_deadline(worker)
            ready = poll(min(max(0.0, deadline - clock()), _LONGEST_WAIT))
            now = clock()
            if now >= deadline:
                ready = poll(0)  # includes all that was received until now
            for descriptor, _ in ready:
                # It may have been closed by an earlier handler of this round.
                if handler := self._handlers.get(descriptor):
                    handler()
            if now >= deadline:
                worker.handle_timeout(now)
                self._report(worker, now)

    def _next_deadline(self, worker: Worker) -> float:
        report = self._next_flush if self._channel.is_busy else worker.next_report()
        deadlines = (worker.next_deadline(), report)
        return min((at for at in deadlines if at is not None), default=inf)

    def _report(self, worker: Worker, now: float) -> None:
        """Send the rest of the last report; after all of it, send the next one if that is due."""
        self._channel.flush()
        at = None if self._channel.is_busy else worker.next_report()
        if at is not None and now >= at and (report := worker.report(now)) is not None:
            self._channel.send(report)
        self._next_flush = now + _FLUSH_INTERVAL
