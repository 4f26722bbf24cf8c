"""Members of a gossip cluster on a network, hosts and a clock that exist only here.

Theory of operation. A heap holds what is going to happen, in order of time; nothing else moves the
clock. Hosts have a kernel, which answers for processes that are gone and keeps packets for those
that are stopped; a process is what the speaker's driver makes of a Memberlist machine: its packets,
streams and timer, and, where wanted, the speaker's own ``Joining``. The network delays, loses,
doubles and reorders, all by one seeded source of chance: the same seed and the same calls give the
same run, which ``Network.digest`` shows.

TCP is as TCP is to its users: what a network loses is sent again, after 1 s for what opens a
connection (RFC 6298 section 2.1) and 0.2 s for data (Linux's least), each twice as long the next
time. Times are in seconds.
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
from speaker.membership.join_scheduler import Joining

Work: TypeAlias = Callable[..., None]

EPOCH = 1_700_000_000
"""What the clock on the wall shows when the simulation begins."""
RECEIVE_BUFFER = 212_992  # net.core.rmem_default, bytes
PACKET_COST = 768  # what Linux charges for a small datagram besides its data, bytes
BACKLOG = 100  # asyncio.start_server
STREAMS = 64  # the driver's
OPENS_AGAIN = 1.0
DATA_AGAIN = 0.2
SEGMENT = 1448
AT_ONCE = 4
"""So often a machine may have more to do at the same time."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How the network treats each packet. Shares are from 0 to 1."""

    least: float = 0.0002
    most: float = 0.0007
    loss: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    """The share of packets that others overtake: these take up to ``lateness`` longer."""
    lateness: float = 0.05


@dataclass(frozen=True, slots=True)
class Told:
    """What a process told. ``wrong``: it gave up one that lived, and that it could have heard."""

    at: float
    who: str
    effect: Effect
    wrong: bool = False


class Host:
    """A machine on the network, and its one process, while that runs."""

    def __init__(self, name: str, endpoint: Endpoint, settings: Settings, *, plain: bool) -> None:
        self.name = name
        self.endpoint = endpoint
        self.settings = settings
        self.plain = plain
        """Its driver tells the machine of no refusals, as memberlist's own does not."""
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
        """The most packets that it sent in any one second of the clock."""
        self._second = 0
        self._in_second = 0

    def sends(self, size: int, now: float) -> None:
        """Count a packet."""
        self.packets += 1
        self.bytes += size
        if int(now) != self._second:
            self._second, self._in_second = int(now), 0
        self._in_second += 1
        self.busiest = max(self.busiest, self._in_second)

    def queue(self, work: Work, *args: object) -> None:
        """Keep something for the process until it runs on."""
        self.waiting.append((work, args))


class Process:
    """A member with what the speaker has around it."""

    def __init__(self, network: Network, host: Host) -> None:
        self.network = network
        self.host = host
        self.born = EPOCH + int(network.now)
        """Its first incarnation."""
        me = Member(host.name, host.endpoint, self.born, State.ALIVE, network.meta)
        self.envelope = network.envelope()
        chance = Random(network.chance.getrandbits(64))
        self.machine = Memberlist(me, host.settings, self.envelope, chance, network.now)
        self.left = False
        self.serving = 0
        self.streams: dict[StreamId, Stream] = {}
        self._others: set[str] = set()
        self._joining: Joining | None = None
        self._joins_at = float("inf")
        self._news = False
        self._wakes_at = float("inf")
        self._wait()

    @property
    def running(self) -> bool:
        """Whether it has not crashed, been restarted or stopped for good."""
        return self.host.process is self

    @property
    def view(self) -> frozenset[str]:
        """Return who is there, in its own view; itself included."""
        return frozenset(
            m.name for m in self.machine.members if m.state in (State.ALIVE, State.SUSPECT)
        )

    # What comes in

    def pods(self, addresses: Iterable[IPv4Address]) -> None:
        """Join these, as the speaker does."""
        if self._joining is None:
            self._joining = Joining()
            self._tell_joining()
        own = self.host.endpoint.address
        others = [address for address in addresses if address != own]
        self.network.chance.shuffle(others)
        self._joining.pods(others, self.network.now)
        self._plan_joins()
        self._go_on_joining()
        self._wait()

    def join(self, *endpoints: Endpoint) -> None:
        """Join these once."""
        self.do(self.machine.join(endpoints, self.network.now))

    def update(self, meta: bytes) -> None:
        """Have other metadata."""
        self.do(self.machine.update(meta, self.network.now))

    def leave(self) -> None:
        """Take leave."""
        self.left = True
        self.do(self.machine.leave(self.network.now))

    def receive(self, data: bytes, source: Endpoint) -> None:
        """Take a datagram from the kernel."""
        self.do(self.machine.receive(data, source, self.network.now))

    def refused(self, target: Endpoint) -> None:
        """Take an error from the kernel: nobody listens there."""
        if not self.host.plain:
            self.do(self.machine.refused(target, self.network.now))

    def wake(self, planned: float | None = None) -> None:
        """Go on with what is due."""
        if not self.running or self.host.paused or planned not in (None, self._wakes_at):
            return
        self._wakes_at = float("inf")
        now = self.network.now
        for _ in range(AT_ONCE):
            if self.machine.next_deadline() > now:
                break
            self.do(self.machine.handle_timeout(now))
        else:
            raise AssertionError(f"{self.host.name}: what is due stays due")
        self._go_on_joining()
        self._wait()

    # What goes out

    def do(self, effects: tuple[Effect, ...]) -> None:
        """Perform what the machine wants."""
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
                    network.tell(self, effect)
                    self._told(effect)
        self._wait()

    def _told(self, effect: Effect) -> None:
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
        if self._joining is not None and not self._news:
            self._news = True
            self.network.at(self.network.now, self._tell_joining)

    def _tell_joining(self) -> None:
        self._news = False
        if self._joining is not None:
            hosts = self.network.hosts
            addresses = [hosts[name].endpoint.address for name in self._others if name in hosts]
            self._joining.members(addresses, self.network.now)
            self._plan_joins()
            self._wait()

    def _plan_joins(self) -> None:
        if self._joining is not None:
            due = self._joining.next_deadline()
            self._joins_at = float("inf") if due is None else due

    def _join_ended(self, endpoint: Endpoint, *, joined: bool) -> None:
        if self._joining is not None:
            now, chance = self.network.now, self.network.chance.random()
            self._joining.ended(endpoint.address, now, joined=joined, chance=chance)
            self._plan_joins()

    def _go_on_joining(self) -> None:
        now = self.network.now
        if self._joining is None or self._joins_at > now:
            return
        self._joining.handle_timeout(now)
        due = () if self.left else self._joining.due(now)
        self._plan_joins()
        if due:
            endpoints = [Endpoint(address, PORT) for address in due]
            self.do(self.machine.join(endpoints, now))

    def _wait(self) -> None:
        due = self.machine.next_deadline()
        if not self.left:
            due = min(due, self._joins_at)
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
        """SYN, and what comes back."""
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
            network.at(network.now + OPENS_AGAIN * 2**tries, self.open, tries + 1)
            return
        there_and_back = network.latency() + network.latency()
        if host.process is None:
            network.at(network.now + there_and_back, self.fail, "refused", True)
            return
        self._server = host.process
        host.backlog += host.paused
        segments = -(-len(self._effect.data) // SEGMENT)
        self._caller.host.stream_bytes += len(self._effect.data)
        network.at(network.now + there_and_back, self._ask, segments, 0)

    def fail(self, why: str, refused: bool = False) -> None:
        """It comes to nothing, if it has not come to something."""
        if not self._over:
            self._end()
            caller = self._caller
            self._network.give(caller, self._tell_failure, why, refused)

    def answer(self, data: bytes) -> None:
        """Send back, and close."""
        server = self._server
        assert server is not None
        server.serving -= 1
        server.host.stream_bytes += len(data)
        self._back(data, -(-len(data) // SEGMENT), 0)

    def close(self) -> None:
        """Close, without an answer."""
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

    def _back(self, data: bytes, segments: int, tries: int) -> None:
        server, caller = self._server, self._caller
        assert server is not None
        if self._over or not caller.running:
            return

        def again(left: int, tries: int) -> None:
            self._back(data, left, tries)

        self._carry(server.host, caller.host, segments, tries, again, lambda: self._arrived(data))

    def _arrived(self, data: bytes) -> None:
        if not self._over:
            self._end()
            self._network.give(self._caller, self._tell_answer, data)

    def _carry(
        self,
        here: Host,
        there: Host,
        segments: int,
        tries: int,
        again: Callable[[int, int], None],
        then: Callable[[], None],
    ) -> None:
        """Send so many segments; those that are lost again."""
        network = self._network
        lost = sum(not network.carries(here, there) for _ in range(segments))
        if lost:
            network.at(network.now + DATA_AGAIN * 2**tries, again, lost, tries + 1)
        else:
            network.at(network.now + network.latency(), then)

    def _end(self) -> None:
        self._over = True

    def _tell_failure(self, why: str, refused: bool) -> None:
        caller, stream = self._caller, self._effect.stream
        now = self._network.now
        caller.do(caller.machine.stream_failed(stream, why, now, refused=refused))
        caller.wake()

    def _tell_answer(self, data: bytes) -> None:
        caller = self._caller
        message = _read(caller.envelope, data)
        now = self._network.now
        caller.do(caller.machine.stream_received(self._effect.stream, message, now))


class Network:
    """Hosts, the clock, and everything that happens."""

    meta = b""
    """What each member tells of itself."""

    def __init__(self, seed: int, weather: Weather | None = None, *, trace: bool = False) -> None:
        self.chance = Random(seed)
        self.now = 0.0
        self.weather = weather or Weather()
        self.hosts: dict[str, Host] = {}
        self.told: list[Told] = []
        self._heap: list[tuple[float, int, Work, tuple[object, ...]]] = []
        self._number = 0
        self._at: dict[Endpoint, Host] = {}
        self._side: dict[str, int] = {}
        self._cut: set[str] = set()
        self._one_way: set[tuple[str, str]] = set()
        self._trace = blake2b(digest_size=16) if trace else None

    def envelope(self) -> Envelope:
        """Return what a new process wraps its packets in; compression would cost time alone."""
        return Envelope(compression=False)

    @property
    def digest(self) -> str:
        """Name this run: another run with the same name had the same packets at the same times."""
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
        """Kill a process. Its host's kernel refuses what is for it from now on."""
        host = self.hosts[name]
        host.process, host.paused = None, False
        host.waiting.clear()
        host.buffered = host.backlog = 0

    def pause(self, name: str) -> None:
        """Stop a process (SIGSTOP)."""
        self.hosts[name].paused = True

    def resume(self, name: str) -> None:
        """Have it run on, if it was stopped and lives (SIGCONT)."""
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
        """Return those whose process runs and has not left."""
        return [
            name
            for name, host in self.hosts.items()
            if host.process is not None and not host.process.left
        ]

    # Cables

    def cut(self, name: str) -> None:
        """Nothing reaches a host, nor leaves it."""
        self._cut.add(name)

    def split(self, *sides: Collection[str]) -> None:
        """No side reaches another. Those on no side are on one together."""
        self._side = {name: number for number, side in enumerate(sides, 1) for name in side}

    def block(self, here: str, there: str) -> None:
        """Nothing gets from one to another; the other way is open."""
        self._one_way.add((here, there))

    def heal(self) -> None:
        """Every way is open."""
        self._cut.clear()
        self._side.clear()
        self._one_way.clear()

    def reaches(self, here: str, there: str) -> bool:
        """Whether there is a way."""
        return (
            here not in self._cut
            and there not in self._cut
            and self._side.get(here) == self._side.get(there)
            and (here, there) not in self._one_way
        )

    # What happens

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, work, args = heapq.heappop(heap)
            work(*args)
        self.now = until

    def run_until(self, holds: Callable[[], bool], within: float, step: float = 0.05) -> float:
        """Let time pass until something holds. Returns when, in seconds from now."""
        began = self.now
        while not holds():
            assert self.now < began + within, f"not within {within} s"
            self.run(step)
        return self.now - began

    def at(self, time: float, work: Work, *args: object) -> None:
        """Have something happen at that time."""
        heapq.heappush(self._heap, (time, self.next_number(), work, args))

    def next_number(self) -> int:
        """Return a number that was never returned."""
        self._number += 1
        return self._number

    def host_at(self, endpoint: Endpoint) -> Host | None:
        """Return who has an address."""
        return self._at.get(endpoint)

    def latency(self) -> float:
        """Draw how long a packet is under way."""
        weather = self.weather
        took = weather.least + self.chance.random() * (weather.most - weather.least)
        if weather.late and self.chance.random() < weather.late:
            took += self.chance.random() * weather.lateness
        return took

    def carries(self, here: Host, there: Host) -> bool:
        """Draw whether a packet that is sent now arrives."""
        if not self.reaches(here.name, there.name):
            return False
        return not self.weather.loss or self.chance.random() >= self.weather.loss

    def send(self, sender: Process, to: Endpoint, data: bytes) -> None:
        """Send a datagram."""
        sender.host.sends(len(data), self.now)
        host = self._at.get(to)
        if host is None or not self.carries(sender.host, host):
            return
        copies = 1 + (self.weather.doubled > 0 and self.chance.random() < self.weather.doubled)
        for _ in range(copies):
            self.at(self.now + self.latency(), self._arrive, sender, host, data)

    def give(self, process: Process, work: Work, *args: object) -> None:
        """Hand something to a process, when it runs."""
        if not process.running:
            return
        if process.host.paused:
            process.host.queue(self.give, process, work, *args)
        else:
            work(*args)

    def tell(self, process: Process, effect: Effect) -> None:
        """Take note of what a process tells."""
        wrong = isinstance(effect, MemberDown) and self._lives(process, effect.member)
        self._record(process.host.name, repr(effect))
        self.told.append(Told(self.now, process.host.name, effect, wrong))

    def _lives(self, process: Process, member: Member) -> bool:
        host = self.hosts.get(member.name)
        if host is None or host.process is None or host.process.left or host.paused:
            return False
        here = process.host.name
        if not (self.reaches(here, member.name) and self.reaches(member.name, here)):
            return False
        return member.incarnation >= host.process.born

    def _arrive(self, sender: Process, host: Host, data: bytes) -> None:
        process = host.process
        self._record(host.name, data.hex())
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

    def _record(self, name: str, what: str) -> None:
        if self._trace is not None:
            self._trace.update(f"{self.now!r} {name} {what}\n".encode())

    def told_by(self, kind: type[Effect]) -> list[Told]:
        """Return what was told of one kind."""
        return [told for told in self.told if isinstance(told.effect, kind)]

    def count(self) -> Counter[str]:
        """Count what was told, by kind."""
        return Counter(type(told.effect).__name__ for told in self.told)


def _read(envelope: Envelope, data: bytes) -> Message:
    """Read the one message of a stream."""
    message = StreamReader(envelope, 8 << 20).feed(data)
    assert message is not None
    return message
