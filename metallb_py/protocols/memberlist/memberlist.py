"""A member of a hashicorp/memberlist cluster without its sockets: bytes and time in, effects out.

Theory of operation. Four activities run at once: each ``probe_interval`` one member is probed
(probe.py); each ``gossip_interval`` pending broadcasts are sent to a few members (broadcasts.py,
transmit.py), sooner if one was just queued; each push-pull interval all state is exchanged with one
random member (push_pull.py); and each suspected member has a deadline to refute (suspicion.py).
state.py decides on alive, suspect and dead messages by their incarnations.

``Memberlist`` keeps the state. The other modules decide, and return what follows; here it is
performed: changes go into the member table and the broadcast queue, messages are packed, failed
probes become suspicions.

This detects failures sooner than memberlist, with the same wire format: a new broadcast does not
wait for the next gossip round; a suspected member receives the suspicion directly, and members that
learn of the suspicion probe it too, until it refutes or its deadline passes; and a process that its
host's kernel reports as gone is declared dead without a suspicion.

Driver contract. Perform the effects that each method returns, in their order: send SendPacket as a
UDP datagram; answer OpenStream by ``stream_received`` or ``stream_failed``; end an incoming stream
by Reply or CloseStream; all others are events to report. Pass each datagram to ``receive``, and the
one message of each incoming stream to ``stream_received``. After every call, read ``next_deadline``
again, and call ``handle_timeout`` at that time.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, assert_never

from metallb_py.addresses import IPAddress
from metallb_py.protocols.memberlist.codec.envelope import Drop, Envelope, EnvelopeError
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Alive,
    Dead,
    Endpoint,
    IndirectPing,
    Message,
    Nack,
    Ping,
    PushPull,
    RemoteError,
    State,
    Suspect,
    User,
)
from metallb_py.protocols.memberlist.events import (
    CloseStream,
    Effect,
    Member,
    MemberSuspected,
    OpenStream,
    Reply,
    RoundTrip,
    SendPacket,
    StreamId,
)
from metallb_py.protocols.memberlist.members import PRESENT, Members, Random, Record, Speakers
from metallb_py.protocols.memberlist.probe import (
    Answered,
    ProbeEffect,
    ProbeFailed,
    Prober,
    TcpPing,
)
from metallb_py.protocols.memberlist.push_pull import (
    PushPullRequest,
    Streams,
    join_result,
    messages_of,
    states_of,
)
from metallb_py.protocols.memberlist.settings import Settings
from metallb_py.protocols.memberlist.source_limits import BASE_WORK, SourceLimits
from metallb_py.protocols.memberlist.state import StateMessage, alive, decide
from metallb_py.protocols.memberlist.suspicion import push_pull_interval
from metallb_py.protocols.memberlist.transmit import Counters, Packer, SendMessages

NEWS_INTERVAL_FACTOR: Final = 0.2
"""Part of a gossip interval since the last round after which a new broadcast is sent."""
CONFIRMING_PROBERS: Final = 8
"""Number of members, on average, that probe a suspect themselves once they learn of it."""
LEAVE_FANOUT: Final = 64
"""Number of members to which a leaving member sends Dead directly; gossip reaches the others."""


class Memberlist:
    """One member. ``me`` is what others learn of it; its incarnation is the clock's seconds.

    ``rng`` is the source of randomness; a seed gives the same run.
    """

    def __init__(
        self, me: Member, settings: Settings, envelope: Envelope, rng: Random, now: float
    ) -> None:
        self._settings = settings
        self._envelope = envelope
        self._rng = rng
        self._members = Members(me, rng, now)
        self.counters = Counters()
        self.source_limits = SourceLimits()
        self._packer = Packer(envelope, settings, self.counters)
        self._prober = Prober(settings, self._members)
        self._streams = Streams()
        self._next_probe = now + rng.random() * settings.probe_interval
        self._last_gossip = now
        self._next_gossip: float | None = None
        self._next_push_pull = now + rng.random() * settings.push_pull_interval
        self._packer.broadcast(alive(me))

    @property
    def me(self) -> Member:
        """This member, as it announces itself."""
        return self._members.me

    @property
    def members(self) -> tuple[Member, ...]:
        """All members in the table, including this one and those that recently failed or left."""
        return tuple(record.member for record in self._members)

    @property
    def present(self) -> int:
        """Number of members that are alive or suspect, including this one."""
        return self._members.present

    @property
    def health(self) -> int:
        """Local health score (Lifeguard); 0 is healthy."""
        return self._prober.health.score

    def expect(self, speakers: Speakers) -> None:
        """Set the expected members and their addresses.

        They have priority over others when the table is full, and when two claim one name.
        """
        self._members.expect(speakers)

    def is_known_host(self, host: IPAddress) -> bool:
        """Whether an address is an expected member's; if none are expected, any known member's."""
        return self._members.is_known_host(host)

    @property
    def _left(self) -> bool:
        """Whether this member has left the cluster."""
        return self.me.state is State.LEFT

    # Inputs

    def join(self, endpoints: Iterable[Endpoint], now: float) -> tuple[Effect, ...]:
        """Begin a push-pull with each endpoint. Joined or JoinFailed follows for each."""
        requests = [PushPullRequest(endpoint, join=True) for endpoint in endpoints]
        return self._done([self._begin_push_pull(request, now) for request in requests], now)

    def update(self, meta: bytes, now: float) -> tuple[Effect, ...]:
        """Announce new metadata of this member, with a higher incarnation; no-op once it left."""
        if meta != self.me.meta and not self._left:
            me = replace(self.me, meta=meta, incarnation=self.me.incarnation + 1)
            self._members.put(me, now)
            self._packer.broadcast(alive(me))
        return self._done((), now)

    def leave(self, now: float) -> tuple[Effect, ...]:
        """Leave the cluster. From then on only the departure is broadcast."""
        if self._left:
            return ()
        me = replace(self.me, state=State.LEFT)
        self._members.put(me, now)
        leaving = Dead(me.incarnation, me.name, me.name)
        self._packer.broadcast(leaving)
        others = self._members.sample(LEAVE_FANOUT, lambda record: record.present)
        return self._done(
            [self._packer.pack(r.member.endpoint, leaving, member=r.member) for r in others], now
        )

    def receive(self, datagram: bytes, source: Endpoint, now: float) -> tuple[Effect, ...]:
        """Handle a datagram. Drop and count one that is malformed or over its source's limit."""
        host, known = source.address, self._members.is_known_host(source.address)
        if not self.source_limits.admit_bytes(host, BASE_WORK + len(datagram), now, known=known):
            self.counters.dropped[Drop.LIMITED] += 1
            return ()
        try:
            unpacked = self._envelope.unpack(datagram)
        except EnvelopeError as error:
            self.counters.dropped[error.reason] += 1
            self.source_limits.charge(host, error.work, now, known=known)
            return ()
        self.source_limits.charge(host, unpacked.work, now, known=known)
        self.counters.dropped[Drop.MALFORMED] += unpacked.flaws
        effects: list[Effect] = []
        for message in unpacked.messages:
            self.counters.count(message)
            effects += self._receive(message, source, now)
        if any(map(self._suspects_me, unpacked.messages)):
            effects += self._refute(source)
        return self._done(effects, now)

    def refused(self, target: Endpoint, now: float) -> tuple[Effect, ...]:
        """Handle an ICMP port unreachable: the host of ``target`` reports no socket there."""
        member = self._member_at(target)
        if member is None or self._left:
            return self._done((), now)
        return self._done(self._perform(self._prober.refused(member, now), now), now)

    def stream_received(self, stream: StreamId, message: Message, now: float) -> tuple[Effect, ...]:
        """Handle a message: the answer on a stream of ours, or a request on another host's."""
        self.counters.count(message)
        request = self._streams.ended(stream)
        if request is None:
            return self._done(self._handle_stream_request(stream, message, now), now)
        return self._done(self._handle_answer(request, message, now), now)

    def stream_failed(
        self, stream: StreamId, error: str, now: float, *, refused: bool = False
    ) -> tuple[Effect, ...]:
        """Handle a stream of ours without an answer. ``refused``: the connection was refused."""
        effects: Sequence[Effect] = ()
        match self._streams.ended(stream):
            case PushPullRequest() as request:
                effects = join_result(request, error)
            case TcpPing(_, ping):
                self._prober.tcp_failed(ping.sequence, now, refused=refused)
            case None:
                pass
        return self._done(effects, now)

    def next_deadline(self) -> float:
        """Return the time at which ``handle_timeout`` is due."""
        times = [self._next_probe, self._next_push_pull]
        if not self._left:
            times += [suspicion.deadline for suspicion in self._members.suspected.values()]
        probing = self._prober.next_deadline()
        times += [time for time in (self._next_gossip, probing) if time is not None]
        return min(times)

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Perform every activity that is due."""
        effects = self._perform(self._prober.handle_timeout(now), now)
        if not self._left:
            effects += self._expire_suspicions(now)
        if self._next_probe <= now:
            effects += self._probe_next(now)
        if self._next_push_pull <= now:
            effects += self._push_pull(now)
        if self._next_gossip is not None and self._next_gossip <= now:
            effects += self._gossip(now)
        return self._done(effects, now)

    # Messages

    def _receive(self, message: Message, source: Endpoint, now: float) -> Sequence[Effect]:
        match message:
            case Ping():
                return self._handle_ping(message, source)
            case IndirectPing():
                to, target = self._reply_to(message.source, source), self._member_at(message.target)
                return self._perform(self._prober.relay(message, to, target, now), now)
            case Ack():
                return self._perform(self._prober.acked(message.sequence, now), now)
            case Nack():
                self._prober.nacked(message.sequence, now)
                return ()
            case Alive() | Suspect() | Dead():
                return self._apply_all((message,), now)
            case User() | RemoteError() | PushPull():
                return ()  # kinds that are not used in datagrams here
            case _:
                assert_never(message)

    def _handle_ping(self, ping: Ping, source: Endpoint) -> Sequence[Effect]:
        if not self._is_for_me(ping):
            return ()
        to = self._reply_to(ping.source, source)
        return (self._packer.pack(to, Ack(ping.sequence), member=self._member_at(to)),)

    def _is_for_me(self, ping: Ping) -> bool:
        return ping.node in ("", self.me.name)

    def _reply_to(self, stated: Endpoint | None, source: Endpoint) -> Endpoint:
        """Return the destination of a reply: the stated source only if that is a member."""
        return stated if stated is not None and self._members.at(stated) is not None else source

    def _member_at(self, endpoint: Endpoint) -> Member | None:
        record = self._members.at(endpoint)
        return None if record is None else record.member

    def _suspects_me(self, message: Message) -> bool:
        return isinstance(message, Suspect | Dead) and message.node == self.me.name

    def _refute(self, source: Endpoint) -> Sequence[Effect]:
        """Send Alive directly to a member that suspects this one: a refutation may be lost."""
        member = self._member_at(source)
        if member is None or self._left or not self._settings.fast_detection:
            return ()
        return (self._packer.pack_alone(member, alive(self.me)),)

    # Membership state

    def _apply_all(self, messages: Iterable[StateMessage], now: float) -> list[Effect]:
        """Apply messages about members; then probe new suspects, unless many others do."""
        effects: list[Effect] = []
        for message in messages:
            effects += self._apply(message, now)
        for suspect in [each.member for each in effects if isinstance(each, MemberSuspected)]:
            effects += self._probe_suspect(suspect, now)
        return effects

    def _apply(self, message: StateMessage, now: float) -> Sequence[Effect]:
        """Apply a message about a member, and queue the broadcast of what it changes."""
        change = decide(self._members, self._settings, message, now)
        if change is None:
            return ()
        if change.dropped is not None:
            self.counters.dropped[change.dropped] += 1
        if change.member is not None:
            self._members.put(change.member, now, change.suspicion)
        if change.confirmed_by is not None:
            self._members.confirm(message.node, change.confirmed_by)
        if change.broadcast is not None:
            self._packer.broadcast(change.broadcast)
        if change.refuted:
            self._prober.health.change(1)
        if change.verification is not None:
            return (*change.events, self._pack(change.verification))
        return change.events

    def _probe_suspect(self, suspect: Member, now: float) -> Sequence[Effect]:
        """Probe a suspect, so that about CONFIRMING_PROBERS of all members do."""
        chosen = self._rng.random() * len(self._members) < CONFIRMING_PROBERS
        if chosen and self._settings.fast_detection and not self._left:
            return self._probe(suspect, now)
        return ()

    def _probe_failed(self, failed: ProbeFailed, now: float) -> Sequence[Effect]:
        """Declare a member dead, or suspect it, at the incarnation probed, unless it has moved."""
        member = failed.member
        record = self._members.get(member.name)
        if record is None or not record.present or record.member.endpoint != member.endpoint:
            return ()
        if failed.certain:
            return self._declare_dead(member, now)
        return () if self._left else self._suspect(record, member.incarnation, now)

    def _suspect(self, record: Record, incarnation: int, now: float) -> list[Effect]:
        """Suspect a member whose probe failed, and probe it again."""
        suspect = Suspect(incarnation, record.member.name, self.me.name)
        effects = [*self._apply(suspect, now)]
        if record.suspicion is not None:
            record.suspicion.probe_failed = True
        if self._settings.fast_detection:
            effects += self._probe(record.member, now)
        return effects

    def _expire_suspicions(self, now: float) -> list[Effect]:
        """Declare suspects dead at their deadline, after one failed probe of our own."""
        effects: list[Effect] = []
        for record, suspicion in self._members.overdue(now):
            if suspicion.probe_failed or not self._settings.fast_detection:
                effects += self._declare_dead(record.member, now)
            else:
                effects += self._probe(record.member, now)
                suspicion.wait(self._prober.end_of_probe(record.member.name))
        return effects

    def _declare_dead(self, member: Member, now: float) -> Sequence[Effect]:
        """Declare a member dead at this incarnation; a higher one is not affected."""
        if self._left:
            return ()
        return self._apply(Dead(member.incarnation, member.name, self.me.name), now)

    # Probes

    def _probe(self, member: Member, now: float, *, regular: bool = False) -> list[Effect]:
        return self._perform(self._prober.probe(member, now, regular=regular), now)

    def _perform(self, probing: Iterable[ProbeEffect], now: float) -> list[Effect]:
        """Perform effects of the prober: pack messages, and apply results of probes."""
        effects: list[Effect] = []
        for effect in probing:
            match effect:
                case SendMessages():
                    effects.append(self._pack(effect))
                case TcpPing(_, ping, deadline):
                    effects.append(self._open(effect, ping, deadline))
                case RoundTrip():
                    effects.append(effect)
                case Answered(member):
                    if self._settings.fast_detection:
                        self._members.answered(member, now)
                case ProbeFailed():
                    effects += self._probe_failed(effect, now)
                case _:
                    assert_never(effect)
        return effects

    def _pack(self, send: SendMessages) -> SendPacket:
        return self._packer.pack(send.to, *send.messages, member=send.member)

    # Streams

    def _begin_push_pull(self, request: PushPullRequest, now: float) -> OpenStream:
        states = states_of(self.members, join=request.join)
        return self._open(request, states, now + self._settings.tcp_timeout)

    def _open(
        self, request: PushPullRequest | TcpPing, message: Message, deadline: float
    ) -> OpenStream:
        return self._streams.open(request, self._packer.pack_stream(message), deadline)

    def _reply(self, stream: StreamId, message: Message) -> Reply:
        return Reply(stream, self._packer.pack_stream(message, reply=True))

    def _handle_answer(
        self, request: PushPullRequest | TcpPing, message: Message, now: float
    ) -> Sequence[Effect]:
        match request, message:
            case PushPullRequest(to), PushPull(states):
                before = self.me.incarnation
                effects = self._apply_all(messages_of(states, self.me.name), now)
                if self.me.incarnation > before:  # that member has an outdated state of this one
                    effects += self._refute(to)
                return [*effects, *join_result(request, message)]
            case PushPullRequest(), _:
                return join_result(request, message)
            case TcpPing(_, Ping(sequence)), Ack(answered) if answered == sequence:
                return self._perform(self._prober.acked(sequence, now), now)
            case TcpPing(_, Ping(sequence)), _:
                self._prober.tcp_failed(sequence, now, refused=False)
        return ()

    def _handle_stream_request(
        self, stream: StreamId, message: Message, now: float
    ) -> Sequence[Effect]:
        match message:
            case PushPull(states, join):
                # Merged first, so that the answer refutes what is wrong.
                effects = self._apply_all(messages_of(states, self.me.name), now)
                return [*effects, self._reply(stream, states_of(self.members, join=join))]
            case Ping() if self._is_for_me(message):
                return (self._reply(stream, Ack(message.sequence)),)
            case _:
                return (CloseStream(stream),)

    # Rounds

    def _probe_next(self, now: float) -> Sequence[Effect]:
        self._members.reap(now - self._settings.gossip_to_the_dead_time, now)
        record = None if self._left else self._members.next_to_probe(self._prober.is_probing)
        self._next_probe = now + self._settings.probe_interval
        if self._members.present == 1:  # alone, this member can suspect no other wrongly
            self._prober.health.change(-1)
        if record is None:
            return ()
        effects = self._probe(record.member, now, regular=True)
        self._next_probe = self._prober.end_of_probe(record.member.name)
        return effects

    def _push_pull(self, now: float) -> Sequence[Effect]:
        interval = push_pull_interval(self._settings, len(self._members))
        self._next_push_pull = now + interval
        if self._left:
            return ()
        chosen = self._members.sample(1, lambda r: r.member.state is State.ALIVE)
        requests = [PushPullRequest(record.member.endpoint, join=False) for record in chosen]
        return [self._begin_push_pull(request, now) for request in requests]

    def _gossip(self, now: float) -> Sequence[Effect]:
        self._last_gossip, self._next_gossip = now, None
        since = now - self._settings.gossip_to_the_dead_time
        count = self._settings.gossip_nodes
        targets = self._members.sample(count, lambda record: _is_gossip_target(record, since))
        packets = [self._packer.pack_broadcasts(record.member) for record in targets]
        return [packet for packet in packets if packet is not None]

    def _done(self, effects: Iterable[Effect], now: float) -> tuple[Effect, ...]:
        """Schedule the next gossip round, and return the effects."""
        self._packer.resize(len(self._members))
        if self._packer.broadcasts and len(self._members) > 1:
            sooner = self._settings.fast_detection and self._packer.broadcasts.has_pending
            factor = NEWS_INTERVAL_FACTOR if sooner else 1.0
            due = self._last_gossip + factor * self._settings.gossip_interval
            self._next_gossip = max(now, due)
        return tuple(effects)


def _is_gossip_target(record: Record, since: float) -> bool:
    """Whether a member receives gossip: a recently failed one too, so that it can refute."""
    member = record.member
    return member.state in PRESENT or (member.state is State.DEAD and record.since > since)
