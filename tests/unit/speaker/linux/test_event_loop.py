"""Event loop of worker processes: order of frames and deadlines, and reports one at a time."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from speaker.linux.channel import PART_LIMIT, Assembly
from speaker.linux.event_loop import EventLoop

PAST = -1.0


class Ends:
    """The speaker's end of the channel, and a socket of the worker with its peer."""

    def __init__(self) -> None:
        self.speaker, self.control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.peer, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.speaker.setblocking(False)

    def close(self) -> None:
        for each in (self.speaker, self.control, self.peer, self.socket):
            each.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


class Program:
    """A worker with one socket and one deadline; after that the loop ends."""

    def __init__(
        self,
        ends: Ends,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ends = ends
        self.deadline = deadline
        self.log: list[object] = []
        self.loop = EventLoop(ends.control, clock)
        self.loop.watch(ends.socket.fileno(), self.receive)

    def receive(self) -> None:
        self.log.append(self.ends.socket.recv(100))

    def receive_commands(self, messages: list[bytes]) -> None:
        self.log.append(messages)

    def next_deadline(self) -> float | None:
        return self.deadline

    def handle_timeout(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self.log.append("timeout")
            self.ends.speaker.close()

    def next_report(self) -> float | None:
        return None

    def report(self, _now: float) -> bytes | None:
        return None


def test_a_queued_frame_is_handled_before_a_deadline_that_passed_earlier(ends: Ends) -> None:
    # As after a time in which the process was not scheduled: the deadline came first.
    ends.peer.send(b"a frame")
    program = Program(ends, deadline=PAST)
    program.loop.run(program)
    assert program.log == [b"a frame", "timeout"]


def test_a_frame_that_came_while_the_process_was_halted_after_its_wait(ends: Ends) -> None:
    def clock() -> float:
        """Return 0 before the wait, and 10 after it, when a frame came in the meantime."""
        times.append(10.0 if times else 0.0)
        if len(times) == 2:
            ends.peer.send(b"a frame")
        return times[-1]

    times: list[float] = []
    program = Program(ends, deadline=0.0, clock=clock)
    program.loop.run(program)
    assert program.log == [b"a frame", "timeout"]


@pytest.mark.parametrize("deadline", [None, 1e9])
def test_frames_expire_no_deadline(ends: Ends, deadline: float | None) -> None:
    class UntilFrame(Program):
        def receive(self) -> None:
            super().receive()
            self.ends.speaker.close()

    ends.peer.send(b"a frame")
    program = UntilFrame(ends, deadline, clock=lambda: 0.0)
    program.loop.run(program)
    assert program.log == [b"a frame"]


def test_commands_are_handled_together(ends: Ends) -> None:
    for command in (b"\x00first", b"\x01sec", b"\x00ond"):
        ends.speaker.send(command)
    program = Program(ends, deadline=PAST)
    program.loop.run(program)
    assert program.log == [[b"first", b"second"], "timeout"]


def test_a_closed_socket_is_not_served_in_the_same_round(ends: Ends) -> None:
    class Closing(Program):
        def receive(self) -> None:
            super().receive()
            for each in (self.ends.socket, other):
                self.loop.unwatch(each.fileno())

    writer, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with writer, other:
        program = Closing(ends, deadline=PAST)
        program.loop.watch(other.fileno(), program.receive)
        for each in (writer, ends.peer):
            each.send(b"a frame")
        # Whichever is served first closes both.
        ends.socket.setblocking(False)
        program.loop.run(program)
    assert program.log.count(b"a frame") == 1


def test_every_report_is_sent_whole_and_in_order_however_slow_the_reader(ends: Ends) -> None:
    class SlowReader(Program):
        """A worker that is also the reader: it reads one part in each turn of the loop."""

        def next_deadline(self) -> float | None:
            with contextlib.suppress(BlockingIOError):
                message = assembly.add(self.ends.speaker.recv(PART_LIMIT))
                if message is not None:
                    self.log.append(message)
            if self.log == reports:
                self.ends.speaker.close()
            return PAST

        def next_report(self) -> float | None:
            return PAST if unsent else None

        def report(self, _now: float) -> bytes | None:
            return unsent.pop(0)

    assembly = Assembly()
    reports = [bytes([number]) * 300_000 for number in range(5)]
    unsent = list(reports)
    program = SlowReader(ends)
    program.loop.run(program)
    assert program.log == reports


def test_an_unread_report_is_retried_at_intervals(ends: Ends) -> None:
    class Unread(Program):
        """A worker with a report that is longer than the channel's buffer."""

        def next_deadline(self) -> float | None:
            rounds.append(time.monotonic())
            if rounds[-1] > rounds[0] + 0.1:
                self.ends.speaker.close()
            return None

        def next_report(self) -> float | None:
            return PAST

        def report(self, _now: float) -> bytes | None:
            return bytes(1 << 20)

    rounds: list[float] = []
    program = Unread(ends)
    program.loop.run(program)
    assert len(rounds) < 20  # a busy loop has thousands
