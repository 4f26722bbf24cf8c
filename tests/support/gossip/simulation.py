"""Discrete-event simulation of a gossip cluster: members, hosts, network and clock.

Theory of operation. A heap holds the scheduled events in order of time; nothing else advances the
clock. Hosts have a kernel, which refuses packets for a process that does not run and buffers them
for a stopped one. A process is a Memberlist machine with what the speaker's driver adds: its
packets, streams and timer, and optionally the speaker's ``JoinScheduler``. The network delays,
drops, duplicates and reorders packets. All randomness comes from one seed: the same seed and the
same calls give the same run, which ``Network.digest`` shows.

TCP is modelled as its users see it: lost segments are retransmitted, after 1 s for a SYN (RFC 6298
section 2.1) and after 0.2 s for data (Linux's minimum), with the interval doubled each time. Times
are in seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv4Address
from random import Random
from typing import TypeAlias

from metallb_py.protocols.memberlist.codec.envelope import Envelope, StreamReader
from metallb_py.protocols.memberlist.codec.messages import Endpoint, Message, State
from metallb_py.protocols.memberlist.events import (
    CloseStream,
    Effect,
    Joined,
    JoinFailed,
    Member,
    MemberDown,
    MemberUp,
    OpenStream,
    Reply,
    RoundTrip,
    SendPacket,
    StreamId,
)
from metallb_py.protocols.memberlist.memberlist import Memberlist
from metallb_py.protocols.memberlist.settings import FAST, PORT, Settings
from speaker.membership.join_scheduler import JoinScheduler

Work: TypeAlias = Callable[..., None]

EPOCH = 1_700_000_000
"""Unix time at the start of the simulation."""
RECEIVE_BUFFER = 212_992  # net.core.rmem_default, bytes
PACKET_COST = 768  # Linux's overhead for a small datagram in the receive buffer, bytes
BACKLOG = 100  # asyncio.start_server
STREAMS = 64  # the driver's limit of concurrent streams
SYN_RETRANSMIT = 1.0
DATA_RETRANSMIT = 0.2
SEGMENT = 1448
MAX_REPEATS = 4
"""Number of times that a machine's deadline may expire again at the same time."""


@dataclass(frozen=True, slots=True)
class Impairments:
    """Impairments of the network (see tc-netem). Shares are from 0 to 1, times in seconds."""

    min_delay: float = 0.0002
    """Minimum latency of a packet."""
    max_delay: float = 0.0007
    """Maximum latency of a packet that is not reordered."""
    loss: float = 0.0
    """Share of packets that are lost."""
    duplicated: float = 0.0
    """Share of packets that are duplicated."""
    reordered: float = 0.0
    """Share of packets that are reordered: delayed by up to ``reorder_delay`` more."""
    reorder_delay: float = 0.05
    """Maximum additional delay of a reordered packet."""


@dataclass(frozen=True, slots=True)
class Report:
    """An event that a process reported."""

    at: float
    """Time of the report."""
    observer: str
    """Name of the reporting process's host."""
    effect: Effect
    """The reported event."""
    wrong: bool = False
    """A false positive: a member was declared dead that lived and was reachable."""


class Host:
    """A host on the network, and its process while that runs."""

    def __init__(self, name: str, endpoint: Endpoint, settings: Settings, *, plain: bool) -> None:
        self.name = name
        self.endpoint = endpoint
        self.settings = settings
        self.plain = plain
        """The driver does not report ICMP refusals to the machine, as memberlist's does not."""
        self.process: Process | None = None
        self.paused = False
        self.waiting: deque[tuple[Work, tuple[object, ...]]] = deque()
        self.buffered = 0
        self.backlog = 0
        self.packets = 0
        self.bytes = 0
        self.stream_bytes = 0
        self.overflowed = 0
        self.busiest = 0
        """The maximum number of packets sent in any second of the clock."""
        self._second = 0
        self._in_second = 0

    def sends(self, size: int, now: float) -> None:
        """Count a sent packet."""
        self.packets += 1
        self.bytes += size
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        self.busiest = max(self.busiest, self._in_second)

    def queue(self, work: Work, *args: object) -> None:
        """Buffer an event for the stopped process until it continues."""
        self.waiting.append((work, args))


class Process:
    """A member with its driver and, after ``pods``, the speaker's join scheduler."""

    def __init__(self, network: Network, host: Host) -> None:
        self.network = network
        self.host = host
        self.born = EPOCH + int(network.now)
        """Its first incarnation."""
        me = Member(host.name, host.endpoint, self.born, State.ALIVE, network.meta)
        self.envelope = network.envelope()
        rng = Random(network.chance.getrandbits(64))
        self.machine = Memberlist(me, host.settings, self.envelope, rng, network.now)
        self.left = False
        self.serving = 0
        self.streams: dict[StreamId, Stream] = {}
        self._others: set[str] = set()
        self._scheduler: JoinScheduler | None = None
        self._scheduler_deadline = float("inf")
        self._members_changed = False
        self._wakes_at = float("inf")
        self._wait()

    @property
    def running(self) -> bool:
        """Whether it has not crashed, been restarted or stopped for good."""
        return self.host.process is self

    @property
    def view(self) -> frozenset[str]:
        """Return the members alive or suspect in its view, itself included."""
        return frozenset(
            m.name for m in self.machine.members if m.state in (State.ALIVE, State.SUSPECT)
        )

    # Inputs

    def pods(self, addresses: Iterable[IPv4Address]) -> None:
        """Join these addresses, as the speaker joins its pods."""
        if self._scheduler is None:
            self._scheduler = JoinScheduler()
            self._update_scheduler()
        own = self.host.endpoint.address
        others = [address for address in addresses if address != own]
        self.network.chance.shuffle(others)
        self._scheduler.pods(others, self.network.now)
        self._plan_scheduler()
        self._run_scheduler()
        self._wait()

    def join(self, *endpoints: Endpoint) -> None:
        """Join these endpoints once."""
        self.do(self.machine.join(endpoints, self.network.now))

    def update(self, meta: bytes) -> None:
        """Change the metadata."""
        self.do(self.machine.update(meta, self.network.now))

    def leave(self) -> None:
        """Leave the cluster."""
        self.left = True
        self.do(self.machine.leave(self.network.now))

    def receive(self, data: bytes, source: Endpoint) -> None:
        """Handle a datagram from the kernel."""
        self.do(self.machine.receive(data, source, self.network.now))

    def refused(self, target: Endpoint) -> None:
        """Handle an ICMP refusal from the kernel: no process listens at the target."""
        if not self.host.plain:
            self.do(self.machine.refused(target, self.network.now))

    def wake(self, planned: float | None = None) -> None:
        """Handle expired deadlines."""
        if not self.running or self.host.paused or planned not in (None, self._wakes_at):
            return
        self._wakes_at = float("inf")
        now = self.network.now
        for _ in range(MAX_REPEATS):
            if self.machine.next_deadline() > now:
                break
            self.do(self.machine.handle_timeout(now))
        else:
            raise AssertionError(f"{self.host.name}: an expired deadline stays due")
        self._run_scheduler()
        self._wait()

    # Outputs

    def do(self, effects: tuple[Effect, ...]) -> None:
        """Perform the machine's effects."""
        network = self.network
        for effect in effects:
            match effect:
                case SendPacket(to, data):
                    network.send(self, to, data)
                case OpenStream():
                    stream = Stream(network, self, effect)
                    network.at(network.now, stream.open, 0)
                    network.at(effect.deadline, stream.fail, "timeout")
                case Reply(stream_id, data):
                    self.streams[stream_id].answer(data)
                case CloseStream(stream_id):
                    self.streams[stream_id].close()
                case RoundTrip():
                    pass
                case _:
                    network.record(self, effect)
                    self._on_report(effect)
        self._wait()

    def _on_report(self, effect: Effect) -> None:
        match effect:
            case MemberUp(member):
                self._others.add(member.name)
            case MemberDown(member, _):
                self._others.discard(member.name)
            case Joined(endpoint):
                self._join_ended(endpoint, joined=True)
                return
            case JoinFailed(endpoint, _):
                self._join_ended(endpoint, joined=False)
                return
            case _:
                return
        if self._scheduler is not None and not self._members_changed:
            self._members_changed = True
            self.network.at(self.network.now, self._update_scheduler)

    def _update_scheduler(self) -> None:
        self._members_changed = False
        if self._scheduler is not None:
            hosts = self.network.hosts
            addresses = [hosts[name].endpoint.address for name in self._others if name in hosts]
            self._scheduler.members(addresses, self.network.now)
            self._plan_scheduler()
            self._wait()

    def _plan_scheduler(self) -> None:
        if self._scheduler is not None:
            due = self._scheduler.next_deadline()
            self._scheduler_deadline = float("inf") if due is None else due

    def _join_ended(self, endpoint: Endpoint, *, joined: bool) -> None:
        if self._scheduler is not None:
            now, chance = self.network.now, self.network.chance.random()
            self._scheduler.ended(endpoint.address, now, joined=joined, random_fraction=chance)
            self._plan_scheduler()

    def _run_scheduler(self) -> None:
        now = self.network.now
        if self._scheduler is None or self._scheduler_deadline > now:
            return
        due = () if self.left else self._scheduler.handle_timeout(now)
        self._plan_scheduler()
        if due:
            endpoints = [Endpoint(address, PORT) for address in due]
            self.do(self.machine.join(endpoints, now))

    def _wait(self) -> None:
        due = self.machine.next_deadline()
        if not self.left:
            due = min(due, self._scheduler_deadline)
        due = max(due, self.network.now)
        if due < self._wakes_at:
            self._wakes_at = due
            self.network.at(due, self.wake, due)


class Stream:
    """A connection that ``caller`` opens, one message each way."""

    def __init__(self, network: Network, caller: Process, effect: OpenStream) -> None:
        self._network = network
        self._caller = caller
        self._effect = effect
        self._host = network.host_at(effect.to)
        self._server: Process | None = None
        self._over = False

    def open(self, tries: int) -> None:
        """Send a SYN, and handle the response or its absence."""
        network, host = self._network, self._host
        if self._over or not self._caller.running:
            return
        answered = (
            host is not None
            and network.carries(self._caller.host, host)
            and (host.backlog < BACKLOG or not host.paused)
            and network.carries(host, self._caller.host)
        )
        if host is None or not answered:
            network.at(network.now + SYN_RETRANSMIT * 2**tries, self.open, tries + 1)
            return
        round_trip = network.latency() + network.latency()
        if host.process is None:
            network.at(network.now + round_trip, self.fail, "refused", True)
            return
        self._server = host.process
        host.backlog += host.paused
        segments = -(-len(self._effect.data) // SEGMENT)
        self._caller.host.stream_bytes += len(self._effect.data)
        network.at(network.now + round_trip, self._ask, segments, 0)

    def fail(self, error: str, refused: bool = False) -> None:
        """Report a failure to the caller, unless the stream has ended."""
        if not self._over:
            self._end()
            caller = self._caller
            self._network.give(caller, self._deliver_failure, error, refused)

    def answer(self, data: bytes) -> None:
        """Send a reply to the caller, and close."""
        server = self._server
        assert server is not None
        server.serving -= 1
        server.host.stream_bytes += len(data)
        self._send_reply(data, -(-len(data) // SEGMENT), 0)

    def close(self) -> None:
        """Close without a reply."""
        network, server = self._network, self._server
        assert server is not None
        server.serving -= 1
        network.at(network.now + network.latency(), self.fail, "closed")

    def _ask(self, segments: int, tries: int) -> None:
        server, caller = self._server, self._caller
        assert server is not None
        if self._over or not caller.running:
            return
        if not server.running:
            self.fail("reset")
            return
        self._carry(caller.host, server.host, segments, tries, self._ask, self._serve)

    def _serve(self) -> None:
        server = self._server
        assert server is not None
        self._network.give(server, self._handle)

    def _handle(self) -> None:
        server = self._server
        assert server is not None
        if self._over:  # the caller has closed it
            return
        if server.serving >= STREAMS:
            server.serving += 1
            self.close()
            return
        server.serving += 1
        stream_id = StreamId(self._network.next_number() * 2 + 1)
        server.streams[stream_id] = self
        message = _read(server.envelope, self._effect.data)
        server.do(server.machine.stream_received(stream_id, message, self._network.now))
        server.streams.pop(stream_id, None)

    def _send_reply(self, data: bytes, segments: int, tries: int) -> None:
        server, caller = self._server, self._caller
        assert server is not None
        if self._over or not caller.running:
            return

        def retransmit(left: int, tries: int) -> None:
            self._send_reply(data, left, tries)

        self._carry(
            server.host, caller.host, segments, tries, retransmit, lambda: self._arrived(data)
        )

    def _arrived(self, data: bytes) -> None:
        if not self._over:
            self._end()
            self._network.give(self._caller, self._deliver_reply, data)

    def _carry(
        self,
        here: Host,
        there: Host,
        segments: int,
        tries: int,
        retransmit: Callable[[int, int], None],
        then: Callable[[], None],
    ) -> None:
        """Send ``segments`` segments, and retransmit the lost ones; then call ``then``."""
        network = self._network
        lost = sum(not network.carries(here, there) for _ in range(segments))
        if lost:
            network.at(network.now + DATA_RETRANSMIT * 2**tries, retransmit, lost, tries + 1)
        else:
            network.at(network.now + network.latency(), then)

    def _end(self) -> None:
        self._over = True

    def _deliver_failure(self, error: str, refused: bool) -> None:
        caller, stream = self._caller, self._effect.stream
        now = self._network.now
        caller.do(caller.machine.stream_failed(stream, error, now, refused=refused))
        caller.wake()

    def _deliver_reply(self, data: bytes) -> None:
        caller = self._caller
        message = _read(caller.envelope, data)
        now = self._network.now
        caller.do(caller.machine.stream_received(self._effect.stream, message, now))


class Network:
    """The hosts, the clock, and the scheduled events."""

    meta = b""
    """The metadata of each new member."""

    def __init__(
        self, seed: int, impairments: Impairments | None = None, *, trace: bool = False
    ) -> None:
        self.chance = Random(seed)
        self.now = 0.0
        self.impairments = impairments or Impairments()
        self.hosts: dict[str, Host] = {}
        self.reports: list[Report] = []
        self._heap: list[tuple[float, int, Work, tuple[object, ...]]] = []
        self._number = 0
        self._at: dict[Endpoint, Host] = {}
        self._side: dict[str, int] = {}
        self._cut: set[str] = set()
        self._one_way: set[tuple[str, str]] = set()
        self._trace = blake2b(digest_size=16) if trace else None

    def envelope(self) -> Envelope:
        """Return the envelope of a new process; without compression, which would only cost time."""
        return Envelope(compression=False)

    @property
    def digest(self) -> str:
        """Return the digest of this run; equal digests mean equal packets at equal times."""
        assert self._trace is not None
        return self._trace.hexdigest()

    # Hosts

    def add(self, name: str, settings: Settings = FAST, *, plain: bool = False) -> Host:
        """Add a host, and start its process."""
        endpoint = Endpoint(IPv4Address("10.0.0.1") + len(self.hosts), PORT)
        host = Host(name, endpoint, settings, plain=plain)
        self.hosts[name] = self._at[endpoint] = host
        self.start(name)
        return host

    def start(self, name: str) -> Process:
        """Start a process where none runs."""
        host = self.hosts[name]
        assert host.process is None
        host.process = Process(self, host)
        return host.process

    def crash(self, name: str) -> None:
        """Kill a process. From then on its host's kernel refuses packets for it."""
        host = self.hosts[name]
        host.process, host.paused = None, False
        host.waiting.clear()
        host.buffered = host.backlog = 0

    def pause(self, name: str) -> None:
        """Stop a process (SIGSTOP)."""
        self.hosts[name].paused = True

    def resume(self, name: str) -> None:
        """Continue a stopped process (SIGCONT)."""
        host = self.hosts[name]
        if not host.paused:
            return
        host.paused = False
        host.buffered = host.backlog = 0
        waiting = list(host.waiting)
        host.waiting.clear()
        for work, args in waiting:
            work(*args)
        if host.process is not None:
            host.process.wake()

    def process(self, name: str) -> Process:
        """Return the process that runs on a host."""
        process = self.hosts[name].process
        assert process is not None
        return process

    @property
    def living(self) -> list[str]:
        """Return the hosts whose process runs and has not left the cluster."""
        return [
            name
            for name, host in self.hosts.items()
            if host.process is not None and not host.process.left
        ]

    # Links

    def cut(self, name: str) -> None:
        """Cut a host's link in both directions."""
        self._cut.add(name)

    def split(self, *sides: Collection[str]) -> None:
        """Partition the network into these sides; hosts named in none form one more side."""
        self._side = {name: number for number, side in enumerate(sides, 1) for name in side}

    def block(self, here: str, there: str) -> None:
        """Block packets from ``here`` to ``there``; the other direction stays open."""
        self._one_way.add((here, there))

    def heal(self) -> None:
        """Remove all cuts, partitions and blocks."""
        self._cut.clear()
        self._side.clear()
        self._one_way.clear()

    def reaches(self, here: str, there: str) -> bool:
        """Whether packets from ``here`` can reach ``there``."""
        return (
            here not in self._cut
            and there not in self._cut
            and self._side.get(here) == self._side.get(there)
            and (here, there) not in self._one_way
        )

    # Events

    def run(self, seconds: float) -> None:
        """Advance the clock by ``seconds``."""
        until = self.now + seconds
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, work, args = heapq.heappop(heap)
            work(*args)
        self.now = until

    def run_until(self, condition: Callable[[], bool], within: float, step: float = 0.05) -> float:
        """Advance the clock until a condition holds; return the seconds that took.

        Raises AssertionError after ``within`` seconds.
        """
        began = self.now
        while not condition():
            assert self.now < began + within, f"not within {within} s"
            self.run(step)
        return self.now - began

    def at(self, time: float, work: Work, *args: object) -> None:
        """Schedule an event."""
        heapq.heappush(self._heap, (time, self.next_number(), work, args))

    def next_number(self) -> int:
        """Return a new unique number."""
        self._number += 1
        return self._number

    def host_at(self, endpoint: Endpoint) -> Host | None:
        """Return the host with an endpoint, None if there is none."""
        return self._at.get(endpoint)

    def latency(self) -> float:
        """Draw the latency of a packet."""
        impairments = self.impairments
        took = impairments.min_delay + self.chance.random() * (
            impairments.max_delay - impairments.min_delay
        )
        if impairments.reordered and self.chance.random() < impairments.reordered:
            took += self.chance.random() * impairments.reorder_delay
        return took

    def carries(self, here: Host, there: Host) -> bool:
        """Draw whether a packet sent now arrives."""
        if not self.reaches(here.name, there.name):
            return False
        return not self.impairments.loss or self.chance.random() >= self.impairments.loss

    def send(self, sender: Process, to: Endpoint, data: bytes) -> None:
        """Send a datagram."""
        sender.host.sends(len(data), self.now)
        host = self._at.get(to)
        if host is None or not self.carries(sender.host, host):
            return
        copies = 1 + (
            self.impairments.duplicated > 0 and self.chance.random() < self.impairments.duplicated
        )
        for _ in range(copies):
            self.at(self.now + self.latency(), self._arrive, sender, host, data)

    def give(self, process: Process, work: Work, *args: object) -> None:
        """Deliver an event to a process, or buffer it while the process is stopped."""
        if not process.running:
            return
        if process.host.paused:
            process.host.queue(self.give, process, work, *args)
        else:
            work(*args)

    def record(self, process: Process, effect: Effect) -> None:
        """Record an event that a process reports."""
        wrong = isinstance(effect, MemberDown) and self._is_reachable(process, effect.member)
        self._trace_event(process.host.name, repr(effect))
        self.reports.append(Report(self.now, process.host.name, effect, wrong))

    def _is_reachable(self, process: Process, member: Member) -> bool:
        host = self.hosts.get(member.name)
        if host is None or host.process is None or host.process.left or host.paused:
            return False
        here = process.host.name
        if not (self.reaches(here, member.name) and self.reaches(member.name, here)):
            return False
        return member.incarnation >= host.process.born

    def _arrive(self, sender: Process, host: Host, data: bytes) -> None:
        process = host.process
        self._trace_event(host.name, data.hex())
        if process is None:
            if self.carries(host, sender.host):
                back = self.now + self.latency()
                self.at(back, self.give, sender, sender.refused, host.endpoint)
        elif host.paused:
            cost = len(data) + PACKET_COST
            if host.buffered + cost > RECEIVE_BUFFER:
                host.overflowed += 1
                return
            host.buffered += cost
            self.give(process, process.receive, data, sender.host.endpoint)
        else:
            process.receive(data, sender.host.endpoint)

    def _trace_event(self, name: str, what: str) -> None:
        if self._trace is not None:
            self._trace.update(f"{self.now!r} {name} {what}\n".encode())

    def reports_of(self, kind: type[Effect]) -> list[Report]:
        """Return the reports of one kind of event."""
        return [report for report in self.reports if isinstance(report.effect, kind)]

    def count(self) -> Counter[str]:
        """Count the reports by kind of event."""
        return Counter(type(report.effect).__name__ for report in self.reports)


def _read(envelope: Envelope, data: bytes) -> Message:
    """Decode the one message of a stream."""
    message = StreamReader(envelope, 8 << 20).feed(data)
    assert message is not None
    return message
