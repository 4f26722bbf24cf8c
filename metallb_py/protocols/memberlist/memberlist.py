"""A member of a hashicorp/memberlist cluster without its sockets: bytes and time in, effects out.

Theory of operation. The driver moves datagrams and the messages of streams, and asks
``next_deadline`` when to come back. Four things go on at once: each ``probe_interval`` one member
is probed (prober.py); each ``gossip_interval`` a few are told what is news (broadcasts.py), sooner
where something has just become known; now and then everything that is known is exchanged with
somebody; and every member that is suspected has its time (suspicion.py). What is believed, and
whom, is in rumours.py.

Where this is quicker than memberlist, on the same wire: news does not wait for the next round of
gossip; who is suspected is told directly, and probed by those who hear of it, until it contradicts
or its time is over; and a process that its host's kernel says is gone needs no suspicion.

Times are seconds of any monotonic clock.
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
from metallb_py.protocols.memberlist.push_pull import Exchange, Streams, TcpPing
from metallb_py.protocols.memberlist.random import Chance
from metallb_py.protocols.memberlist.settings import Settings
from metallb_py.protocols.memberlist.state import Rumours, alive
from metallb_py.protocols.memberlist.strangers import EACH, Strangers
from metallb_py.protocols.memberlist.suspicion import push_pull_interval
from metallb_py.protocols.memberlist.transmit import Post, Tally

HURRY: Final = 0.2
"""What is news is told after this part of a gossip interval since the last round."""
WITNESSES: Final = 8
"""About so many of those who hear of a suspicion look for themselves."""
FAREWELLS: Final = 64
"""So many are told directly that this member leaves; the others by gossip."""


class Memberlist:
    """One member. ``me`` is as others are to see it; its incarnation is the clock's seconds."""

    def __init__(
        self, me: Member, settings: Settings, envelope: Envelope, chance: Chance, now: float
    ) -> None:
        self._settings = settings
        self._envelope = envelope
        self._chance = chance
        self._effects: list[Effect] = []
        self._members = Members(me, chance, now)
        self.tally = Tally()
        self.strangers = Strangers()
        do = self._effects.append
        self._post = Post(envelope, settings, self.tally, do)
        self._prober = Prober(settings, self._members, self._post, self._ping_over_tcp, do)
        self._rumours = Rumours(
            settings, self._members, self._post, self._prober.health, self.tally, do
        )
        self._streams = Streams(self._members, envelope, self.tally, do)
        self._probes_at = now + chance.random() * settings.probe_interval
        self._gossiped = now
        self._gossips_at: float | None = None
        self._exchanges_at = now + chance.random() * settings.push_pull_interval
        self._rumours.announce_me(me, now)

    @property
    def me(self) -> Member:
        """This member, as it tells of itself."""
        return self._members.me

    @property
    def members(self) -> tuple[Member, ...]:
        """Everybody that is known of, this member and those that have gone lately included."""
        return tuple(record.member for record in self._members)

    @property
    def present(self) -> int:
        """How many take part, as far as known; this member included."""
        return self._members.present

    @property
    def health(self) -> int:
        """How unwell this member is; 0 is well."""
        return self._prober.health.score

    def expect(self, speakers: Speakers) -> None:
        """Take these for the members that there can be, at these addresses.

        They come before others where room is short, and where two claim one name.
        """
        self._members.expect(speakers)

    def knows(self, host: IPAddress) -> bool:
        """Whether a member is expected at an address; or, where none were named, is there."""
        return self._members.knows(host)

    # What happens

    def join(self, endpoints: Iterable[Endpoint], now: float) -> tuple[Effect, ...]:
        """Exchange everything with who is there. Joined or JoinFailed follows for each."""
        for endpoint in endpoints:
            self._exchange(endpoint, now, join=True)
        return self._done(now)

    def update(self, meta: bytes, now: float) -> tuple[Effect, ...]:
        """Tell everybody this metadata of this member from now on."""
        me = self._members.me
        if meta != me.meta:
            changed = replace(me, meta=meta, incarnation=me.incarnation + 1)
            self._rumours.announce_me(changed, now)
        return self._done(now)

    def leave(self, now: float) -> tuple[Effect, ...]:
        """Take leave. What follows is only that it becomes known."""
        if self._rumours.left:
            return ()
        self._rumours.left = True
        me = self._members.me
        farewell = Dead(me.incarnation, me.name, me.name)
        self._rumours.dead(farewell, now)
        for record in self._members.draw(FAREWELLS, lambda r: r.present):
            self._post.send(record.member.endpoint, farewell, member=record.member)
        return self._done(now)

    def receive(self, datagram: bytes, source: Endpoint, now: float) -> tuple[Effect, ...]:
        """A datagram arrived."""
        host, known = source.address, self._members.knows(source.address)
        if not self.strangers.sends(host, EACH + len(datagram), now, known=known):
            self.tally.dropped[Drop.LIMITED] += 1
            return ()
        try:
            unpacked = self._envelope.unpack(datagram)
        except EnvelopeError as error:
            self.tally.dropped[error.reason] += 1
            self.strangers.cost(host, error.work, now, known=known)
            return ()
        self.strangers.cost(host, unpacked.work, now, known=known)
        self.tally.dropped[Drop.MALFORMED] += unpacked.flaws
        for message in unpacked.messages:
            self._receive(message, source, now)
        if any(map(self._accuses_me, unpacked.messages)):
            self._contradict(source)
        return self._done(now)

    def refused(self, target: Endpoint, now: float) -> tuple[Effect, ...]:
        """The kernel of a host that we sent a datagram to says that nobody listens there."""
        record = self._members.at(target)
        if record is not None and not self._rumours.left:
            self._prober.refused(record.member, now)
        return self._done(now)

    def stream_received(self, stream: StreamId, message: Message, now: float) -> tuple[Effect, ...]:
        """A message arrived over a stream: an answer over ours, a question over another's."""
        self.tally.count(message)
        about = self._streams.ended(stream)
        if about is None:
            self._asked(stream, message, now)
        else:
            self._answered(about, message, now)
        return self._done(now)

    def stream_failed(
        self, stream: StreamId, error: str, now: float, *, refused: bool = False
    ) -> tuple[Effect, ...]:
        """No answer over a stream of ours. ``refused``: nobody listens there."""
        match self._streams.ended(stream):
            case Exchange() as exchange:
                self._streams.failed(exchange, error)
            case TcpPing(sequence):
                self._prober.tcp_failed(sequence, now, refused=refused)
            case None:
                pass
        return self._done(now)

    def next_deadline(self) -> float:
        """Return when ``handle_timeout`` is due."""
        times = [self._probes_at, self._exchanges_at]
        if not self._rumours.left:
            times += [suspicion.deadline for suspicion in self._members.suspected.values()]
        probing = self._prober.next_deadline()
        times += [time for time in (self._gossips_at, probing) if time is not None]
        return min(times)

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Go on with whatever is due."""
        for outcome in self._prober.handle_timeout(now):
            if outcome.certain:
                self._declare_dead(outcome.member, now)
            else:
                self._doubt(outcome.member, now)
        if not self._rumours.left:
            self._judge(now)
        if self._probes_at <= now:
            self._probe_next(now)
        if self._exchanges_at <= now:
            self._exchange_with_somebody(now)
        if self._gossips_at is not None and self._gossips_at <= now:
            self._gossip(now)
        return self._done(now)

    # Messages

    def _receive(self, message: Message, source: Endpoint, now: float) -> None:
        self.tally.count(message)
        match message:
            case Ping() | IndirectPing() | Ack() | Nack():
                self._receive_probe(message, source, now)
            case Alive():
                self._rumours.alive(message, now)
            case Suspect():
                self._heard_suspicion(message, now)
            case Dead():
                self._rumours.dead(message, now)
            case User() | RemoteError() | PushPull():
                pass  # nothing here talks so, by packets
            case _:
                assert_never(message)

    def _receive_probe(
        self, message: Ping | IndirectPing | Ack | Nack, source: Endpoint, now: float
    ) -> None:
        match message:
            case Ping():
                if message.node in ("", self.me.name):
                    to = self._reply_to(message.source, source)
                    self._post.send(to, Ack(message.sequence), member=self._member_at(to))
            case IndirectPing():
                self._prober.relay(message, self._reply_to(message.source, source), now)
            case Ack():
                self._prober.acked(message.sequence, now)
            case Nack():
                self._prober.denied(message.sequence, now)
            case _:
                assert_never(message)

    def _reply_to(self, told: Endpoint | None, source: Endpoint) -> Endpoint:
        """Return where an answer goes: not to somebody who has nothing to do with it."""
        return told if told is not None and self._members.at(told) is not None else source

    def _member_at(self, endpoint: Endpoint) -> Member | None:
        record = self._members.at(endpoint)
        return None if record is None else record.member

    def _heard_suspicion(self, message: Suspect, now: float) -> None:
        """Look for ourselves, unless many others do."""
        news = self._rumours.suspect(message, now)
        if news is not None:
            self._witness(news, now)

    def _accuses_me(self, message: Message) -> bool:
        return isinstance(message, Suspect | Dead) and message.node == self.me.name

    def _contradict(self, source: Endpoint) -> None:
        """Tell who accuses us, perhaps again as it was lost, that it is wrong; not just anybody."""
        record = self._members.at(source)
        if record is not None and self._settings.eager and not self._rumours.left:
            self._post.tell(record.member, alive(self.me))

    def _witness(self, suspect: Member, now: float) -> None:
        drawn = self._chance.random() * len(self._members) < WITNESSES
        if drawn and self._settings.eager and not self._rumours.left:
            self._prober.probe(suspect, now, regular=False)

    def _doubt(self, member: Member, now: float) -> None:
        """A probe failed: suspect its member as it was then, and go on probing it."""
        record = self._members.get(member.name)
        if record is None or not record.present or self._rumours.left:
            return
        self._rumours.suspect(Suspect(member.incarnation, member.name, self.me.name), now)
        if record.suspicion is not None:
            record.suspicion.seen = True
        if self._settings.eager:
            self._prober.probe(record.member, now, regular=False)

    def _judge(self, now: float) -> None:
        """Give up who had its time; but nobody whom we have not looked for ourselves."""
        for record, suspicion in self._members.overdue(now):
            if suspicion.seen or not self._settings.eager:
                self._declare_dead(record.member, now)
            else:
                suspicion.wait(self._prober.probe(record.member, now, regular=False))

    def _declare_dead(self, member: Member, now: float) -> None:
        """Nobody heard of a member as it was then; one that began anew is not meant."""
        if not self._rumours.left:
            self._rumours.dead(Dead(member.incarnation, member.name, self.me.name), now)

    # Streams

    def _ping_over_tcp(self, member: Member, ping: Ping, deadline: float) -> None:
        self._streams.ping(member, ping, deadline)

    def _exchange(self, endpoint: Endpoint, now: float, *, join: bool) -> None:
        self._streams.exchange(endpoint, now + self._settings.tcp_timeout, join=join)

    def _answered(self, about: Exchange | TcpPing, message: Message, now: float) -> None:
        match about, message:
            case Exchange(endpoint), PushPull() as everything:
                before = self.me.incarnation
                self._merge(everything, now)
                if self.me.incarnation > before:  # our answer to what is thought of us there
                    self._contradict(endpoint)
                self._streams.succeeded(about)
            case Exchange(), _:
                self._streams.failed(about, message)
            case TcpPing(sequence), Ack(answered) if answered == sequence:
                self._prober.acked(sequence, now)
            case TcpPing(sequence), _:
                self._prober.tcp_failed(sequence, now, refused=False)

    def _asked(self, stream: StreamId, message: Message, now: float) -> None:
        match message:
            case PushPull():
                self._merge(message, now)  # first, so that the answer contradicts what is wrong
                self._streams.reply_everything(stream, join=message.join)
            case Ping():
                self._streams.reply_ack(stream, message)
            case _:
                self._streams.close(stream)

    def _merge(self, everything: PushPull, now: float) -> None:
        for suspect in self._rumours.merge(everything.states, now):
            self._witness(suspect, now)

    # Rounds

    def _probe_next(self, now: float) -> None:
        self._members.reap(now - self._settings.gossip_to_the_dead_time, now)
        record = None if self._rumours.left else self._members.next_to_probe(self._prober.busy_with)
        self._probes_at = now + self._settings.probe_interval
        if self._members.present == 1:  # with nobody to be wrong about
            self._prober.health.change(-1)
        if record is not None:
            self._probes_at = self._prober.probe(record.member, now, regular=True)

    def _exchange_with_somebody(self, now: float) -> None:
        interval = push_pull_interval(self._settings, len(self._members))
        self._exchanges_at = now + interval
        if not self._rumours.left:
            for record in self._members.draw(1, lambda r: r.member.state is State.ALIVE):
                self._exchange(record.member.endpoint, now, join=False)

    def _gossip(self, now: float) -> None:
        self._gossiped, self._gossips_at = now, None
        since = now - self._settings.gossip_to_the_dead_time
        for record in self._members.draw(
            self._settings.gossip_nodes, lambda record: _listens(record, since)
        ):
            if not self._post.gossip(record.member):
                break

    def _done(self, now: float) -> tuple[Effect, ...]:
        """Plan the next round of gossip, and return what is to be done."""
        self._post.resize(len(self._members))
        if self._post.rumours and len(self._members) > 1:
            hurries = self._settings.eager and self._post.rumours.has_news
            pace = HURRY if hurries else 1.0
            due = self._gossiped + pace * self._settings.gossip_interval
            self._gossips_at = max(now, due)
        effects = tuple(self._effects)
        self._effects.clear()
        return effects


def _listens(record: Record, since: float) -> bool:
    """Whether somebody is told the news: who has failed lately may not have, and contradicts."""
    member = record.member
    return member.state in PRESENT or (member.state is State.DEAD and record.since > since)
