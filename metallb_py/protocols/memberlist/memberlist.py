"""A member of a hashicorp/memberlist cluster without its sockets: bytes and time in, effects out.

Theory of operation. Four activities run at once: each ``probe_interval`` one member is probed
(probe.py); each ``gossip_interval`` pending broadcasts are sent to a few members (broadcasts.py,
transmit.py), sooner if one was just queued; each push-pull interval all state is exchanged with one
random member (push_pull.py); and each suspected member has a deadline to refute (suspicion.py).
state.py applies alive, suspect and dead messages by their incarnations.

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

from collections.abc import Iterable
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
    Effect,
    Member,
    StreamId,
)
from metallb_py.protocols.memberlist.members import PRESENT, Members, Record, Speakers
from metallb_py.protocols.memberlist.probe import Prober
from metallb_py.protocols.memberlist.push_pull import PushPullRequest, Streams, TcpPing
from metallb_py.protocols.memberlist.random import Random
from metallb_py.protocols.memberlist.settings import Settings
from metallb_py.protocols.memberlist.source_limits import BASE_WORK, SourceLimits
from metallb_py.protocols.memberlist.state import MembershipState, alive
from metallb_py.protocols.memberlist.suspicion import push_pull_interval
from metallb_py.protocols.memberlist.transmit import Counters, PacketSender

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
        self._effects: list[Effect] = []
        self._members = Members(me, rng, now)
        self.counters = Counters()
        self.source_limits = SourceLimits()
        emit = self._effects.append
        self._sender = PacketSender(envelope, settings, self.counters, emit)
        self._prober = Prober(settings, self._members, self._sender, self._ping_over_tcp, emit)
        self._state = MembershipState(
            settings, self._members, self._sender, self._prober.health, self.counters, emit
        )
        self._streams = Streams(self._members, envelope, self.counters, emit)
        self._next_probe = now + rng.random() * settings.probe_interval
        self._last_gossip = now
        self._next_gossip: float | None = None
        self._next_push_pull = now + rng.random() * settings.push_pull_interval
        self._state.announce_me(me, now)

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

    # Inputs

    def join(self, endpoints: Iterable[Endpoint], now: float) -> tuple[Effect, ...]:
        """Begin a push-pull with each endpoint. Joined or JoinFailed follows for each."""
        for endpoint in endpoints:
            self._begin_push_pull(endpoint, now, join=True)
        return self._take_effects(now)

    def update(self, meta: bytes, now: float) -> tuple[Effect, ...]:
        """Announce new metadata of this member, with a higher incarnation."""
        me = self._members.me
        if meta != me.meta:
            changed = replace(me, meta=meta, incarnation=me.incarnation + 1)
            self._state.announce_me(changed, now)
        return self._take_effects(now)

    def leave(self, now: float) -> tuple[Effect, ...]:
        """Leave the cluster. From then on only the departure is broadcast."""
        if self._state.left:
            return ()
        self._state.left = True
        me = self._members.me
        leaving = Dead(me.incarnation, me.name, me.name)
        self._state.dead(leaving, now)
        for record in self._members.sample(LEAVE_FANOUT, lambda r: r.present):
            self._sender.send(record.member.endpoint, leaving, member=record.member)
        return self._take_effects(now)

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
        for message in unpacked.messages:
            self._receive(message, source, now)
        if any(map(self._suspects_me, unpacked.messages)):
            self._refute(source)
        return self._take_effects(now)

    def refused(self, target: Endpoint, now: float) -> tuple[Effect, ...]:
        """Handle an ICMP port unreachable: the host of ``target`` reports no socket there."""
        record = self._members.at(target)
        if record is not None and not self._state.left:
            self._prober.refused(record.member, now)
        return self._take_effects(now)

    def stream_received(self, stream: StreamId, message: Message, now: float) -> tuple[Effect, ...]:
        """Handle a message: the answer on a stream of ours, or a request on another host's."""
        self.counters.count(message)
        about = self._streams.ended(stream)
        if about is None:
            self._handle_stream_request(stream, message, now)
        else:
            self._handle_answer(about, message, now)
        return self._take_effects(now)

    def stream_failed(
        self, stream: StreamId, error: str, now: float, *, refused: bool = False
    ) -> tuple[Effect, ...]:
        """Handle a stream of ours without an answer. ``refused``: the connection was refused."""
        match self._streams.ended(stream):
            case PushPullRequest() as exchange:
                self._streams.failed(exchange, error)
            case TcpPing(sequence):
                self._prober.tcp_failed(sequence, now, refused=refused)
            case None:
                pass
        return self._take_effects(now)

    def next_deadline(self) -> float:
        """Return the time at which ``handle_timeout`` is due."""
        times = [self._next_probe, self._next_push_pull]
        if not self._state.left:
            times += [suspicion.deadline for suspicion in self._members.suspected.values()]
        probing = self._prober.next_deadline()
        times += [time for time in (self._next_gossip, probing) if time is not None]
        return min(times)

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Perform every activity that is due."""
        for outcome in self._prober.handle_timeout(now):
            if outcome.certain:
                self._declare_dead(outcome.member, now)
            else:
                self._suspect(outcome.member, now)
        if not self._state.left:
            self._expire_suspicions(now)
        if self._next_probe <= now:
            self._probe_next(now)
        if self._next_push_pull <= now:
            self._push_pull(now)
        if self._next_gossip is not None and self._next_gossip <= now:
            self._gossip(now)
        return self._take_effects(now)

    # Messages

    def _receive(self, message: Message, source: Endpoint, now: float) -> None:
        self.counters.count(message)
        match message:
            case Ping() | IndirectPing() | Ack() | Nack():
                self._receive_probe(message, source, now)
            case Alive():
                self._state.alive(message, now)
            case Suspect():
                self._receive_suspect(message, now)
            case Dead():
                self._state.dead(message, now)
            case User() | RemoteError() | PushPull():
                pass  # kinds that are not used in datagrams here
            case _:
                assert_never(message)

    def _receive_probe(
        self, message: Ping | IndirectPing | Ack | Nack, source: Endpoint, now: float
    ) -> None:
        match message:
            case Ping():
                if message.node in ("", self.me.name):
                    to = self._reply_to(message.source, source)
                    self._sender.send(to, Ack(message.sequence), member=self._member_at(to))
            case IndirectPing():
                self._prober.relay(message, self._reply_to(message.source, source), now)
            case Ack():
                self._prober.acked(message.sequence, now)
            case Nack():
                self._prober.nacked(message.sequence, now)
            case _:
                assert_never(message)

    def _reply_to(self, stated: Endpoint | None, source: Endpoint) -> Endpoint:
        """Return the destination of a reply: the stated source only if that is a member."""
        return stated if stated is not None and self._members.at(stated) is not None else source

    def _member_at(self, endpoint: Endpoint) -> Member | None:
        record = self._members.at(endpoint)
        return None if record is None else record.member

    def _receive_suspect(self, message: Suspect, now: float) -> None:
        """Apply a Suspect message, and probe a new suspect, unless many others do."""
        suspect = self._state.suspect(message, now)
        if suspect is not None:
            self._probe_suspect(suspect, now)

    def _suspects_me(self, message: Message) -> bool:
        return isinstance(message, Suspect | Dead) and message.node == self.me.name

    def _refute(self, source: Endpoint) -> None:
        """Send Alive directly to a member that suspects this one: a refutation may be lost."""
        record = self._members.at(source)
        if record is not None and self._settings.fast_detection and not self._state.left:
            self._sender.send_alone(record.member, alive(self.me))

    def _probe_suspect(self, suspect: Member, now: float) -> None:
        """Probe a suspect, so that about CONFIRMING_PROBERS of all members do."""
        chosen = self._rng.random() * len(self._members) < CONFIRMING_PROBERS
        if chosen and self._settings.fast_detection and not self._state.left:
            self._prober.probe(suspect, now, regular=False)

    def _suspect(self, member: Member, now: float) -> None:
        """Suspect a member whose probe failed, at the incarnation probed, and probe it again."""
        record = self._members.get(member.name)
        if record is None or not record.present or self._state.left:
            return
        self._state.suspect(Suspect(member.incarnation, member.name, self.me.name), now)
        if record.suspicion is not None:
            record.suspicion.probe_failed = True
        if self._settings.fast_detection:
            self._prober.probe(record.member, now, regular=False)

    def _expire_suspicions(self, now: float) -> None:
        """Declare suspects dead at their deadline, after one failed probe of our own."""
        for record, suspicion in self._members.overdue(now):
            if suspicion.probe_failed or not self._settings.fast_detection:
                self._declare_dead(record.member, now)
            else:
                suspicion.wait(self._prober.probe(record.member, now, regular=False))

    def _declare_dead(self, member: Member, now: float) -> None:
        """Declare a member dead at this incarnation; a higher one is not affected."""
        if not self._state.left:
            self._state.dead(Dead(member.incarnation, member.name, self.me.name), now)

    # Streams

    def _ping_over_tcp(self, member: Member, ping: Ping, deadline: float) -> None:
        self._streams.ping(member, ping, deadline)

    def _begin_push_pull(self, endpoint: Endpoint, now: float, *, join: bool) -> None:
        self._streams.exchange(endpoint, now + self._settings.tcp_timeout, join=join)

    def _handle_answer(
        self, about: PushPullRequest | TcpPing, message: Message, now: float
    ) -> None:
        match about, message:
            case PushPullRequest(endpoint), PushPull() as remote:
                before = self.me.incarnation
                self._merge(remote, now)
                if self.me.incarnation > before:  # that member has an outdated state of this one
                    self._refute(endpoint)
                self._streams.succeeded(about)
            case PushPullRequest(), _:
                self._streams.failed(about, message)
            case TcpPing(sequence), Ack(answered) if answered == sequence:
                self._prober.acked(sequence, now)
            case TcpPing(sequence), _:
                self._prober.tcp_failed(sequence, now, refused=False)

    def _handle_stream_request(self, stream: StreamId, message: Message, now: float) -> None:
        match message:
            case PushPull():
                self._merge(message, now)  # first, so that the answer refutes what is wrong
                self._streams.reply_push_pull(stream, join=message.join)
            case Ping():
                self._streams.reply_ack(stream, message)
            case _:
                self._streams.close(stream)

    def _merge(self, remote: PushPull, now: float) -> None:
        for suspect in self._state.merge(remote.states, now):
            self._probe_suspect(suspect, now)

    # Rounds

    def _probe_next(self, now: float) -> None:
        self._members.reap(now - self._settings.gossip_to_the_dead_time, now)
        record = None if self._state.left else self._members.next_to_probe(self._prober.is_probing)
        self._next_probe = now + self._settings.probe_interval
        if self._members.present == 1:  # alone, this member can suspect no other wrongly
            self._prober.health.change(-1)
        if record is not None:
            self._next_probe = self._prober.probe(record.member, now, regular=True)

    def _push_pull(self, now: float) -> None:
        interval = push_pull_interval(self._settings, len(self._members))
        self._next_push_pull = now + interval
        if not self._state.left:
            for record in self._members.sample(1, lambda r: r.member.state is State.ALIVE):
                self._begin_push_pull(record.member.endpoint, now, join=False)

    def _gossip(self, now: float) -> None:
        self._last_gossip, self._next_gossip = now, None
        since = now - self._settings.gossip_to_the_dead_time
        for record in self._members.sample(
            self._settings.gossip_nodes, lambda record: _is_gossip_target(record, since)
        ):
            if not self._sender.gossip(record.member):
                break

    def _take_effects(self, now: float) -> tuple[Effect, ...]:
        """Schedule the next gossip round, and return the collected effects."""
        self._sender.resize(len(self._members))
        if self._sender.broadcasts and len(self._members) > 1:
            sooner = self._settings.fast_detection and self._sender.broadcasts.has_pending
            factor = NEWS_INTERVAL_FACTOR if sooner else 1.0
            due = self._last_gossip + factor * self._settings.gossip_interval
            self._next_gossip = max(now, due)
        effects = tuple(self._effects)
        self._effects.clear()
        return effects


def _is_gossip_target(record: Record, since: float) -> bool:
    """Whether a member receives gossip: a recently failed one too, so that it can refute."""
    member = record.member
    return member.state in PRESENT or (member.state is State.DEAD and record.since > since)
