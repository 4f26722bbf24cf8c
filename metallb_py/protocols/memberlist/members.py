"""Everybody that is known of, and whose turn it is to be probed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.protocols.memberlist.codec.messages import Endpoint, State
from metallb_py.protocols.memberlist.events import Member
from metallb_py.protocols.memberlist.random import Chance, pick
from metallb_py.protocols.memberlist.suspicion import Suspicion

LIMIT = 8192
"""More members are not taken in, so that nobody can make the table grow without bound; but those
that are expected are, whatever others make up."""
Speakers = Mapping[str, frozenset[IPAddress]]
"""The addresses of members, by name, from a source that members cannot write to."""
BURIED: Final = 600.0
"""So long it is remembered, in seconds, who was forgotten."""
PRESENT = (State.ALIVE, State.SUSPECT)


class Record:
    """A member, since when its state is what it is, and the suspicion that it is under."""

    __slots__ = ("member", "since", "suspicion")

    def __init__(self, member: Member, now: float) -> None:
        self.member = member
        self.since = now
        self.suspicion: Suspicion | None = None

    @property
    def present(self) -> bool:
        """Whether it takes part, as far as known."""
        return self.member.state in PRESENT


class Members:
    """The table; this member itself is in it."""

    def __init__(self, me: Member, chance: Chance, now: float) -> None:
        self._chance = chance
        self._name = me.name
        self._records = {me.name: Record(me, now)}
        self._at = {me.endpoint: me.name}
        self._hosts = Counter((me.endpoint.address,))
        self._expected: Speakers | None = None
        self._expected_hosts: frozenset[IPAddress] = frozenset()
        self._list = [self._records[me.name]]
        self._order: list[str] = []  # whom to probe in this round; the last one first
        self.suspected: dict[str, Suspicion] = {}
        """Those under suspicion."""
        self.present = 1
        """How many take part, as far as known."""
        self._buried: dict[str, tuple[Member, float]] = {}  # until then; the oldest first

    def __iter__(self) -> Iterator[Record]:
        return iter(self._list)

    def __len__(self) -> int:
        return len(self._list)

    @property
    def me(self) -> Member:
        """This member itself."""
        return self._records[self._name].member

    def get(self, name: str) -> Record | None:
        """Return what is known of a member."""
        return self._records.get(name)

    def buried(self, name: str, now: float) -> Member | None:
        """Return who was forgotten lately, as it was last known.

        Others may have missed that it is gone, and tell of it as of a living one.
        """
        member, until = self._buried.get(name, (None, now))
        return member if until > now else None

    def at(self, endpoint: Endpoint) -> Record | None:
        """Return the member that is reached there."""
        name = self._at.get(endpoint)
        return None if name is None else self._records[name]

    def expect(self, speakers: Speakers) -> None:
        """Take these for the members that there can be, at these addresses."""
        self._expected = speakers
        self._expected_hosts = frozenset().union(*speakers.values())

    def knows(self, host: IPAddress) -> bool:
        """Whether a member is expected at an address; or, where none were named, is there."""
        return host in (self._hosts if self._expected is None else self._expected_hosts)

    def expects(self, name: str, host: IPAddress) -> bool:
        """Whether the member of this name is expected at an address."""
        return self._expected is not None and host in self._expected.get(name, ())

    def put(self, member: Member, now: float) -> None:
        """Take in a member, or what changed of it; any suspicion has ended."""
        record = self._records.get(member.name)
        if record is None:
            record = self._records[member.name] = Record(member, now)
            self._hosts[member.endpoint.address] += 1
            self._buried.pop(member.name, None)
            self.present += record.present
            self._list.append(record)
            self._order.insert(int(self._chance.random() * (len(self._order) + 1)), member.name)
        else:
            if record.member.endpoint != member.endpoint:
                self._moved_from(record.member)
                self._hosts[member.endpoint.address] += 1
            if record.member.state is not member.state:
                record.since = now
            self.present -= record.present
            record.member = member
            self.present += record.present
            record.suspicion = None
            self.suspected.pop(member.name, None)
        self._at[member.endpoint] = member.name

    def suspect(self, record: Record, incarnation: int, suspicion: Suspicion, now: float) -> None:
        """A member is under suspicion from now on."""
        self.put(replace(record.member, state=State.SUSPECT, incarnation=incarnation), now)
        record.suspicion = suspicion
        self.suspected[record.member.name] = suspicion

    def answered(self, member: Member, now: float) -> None:
        """A member was heard of."""
        suspicion = self.suspected.get(member.name)
        if suspicion is not None:
            suspicion.answered(now)

    def overdue(self, now: float) -> list[tuple[Record, Suspicion]]:
        """Return those that had their time to contradict a suspicion."""
        late = [(name, each) for name, each in self.suspected.items() if each.deadline <= now]
        return [(self._records[name], suspicion) for name, suspicion in late]

    def draw(self, count: int, fits: Callable[[Record], bool]) -> tuple[Record, ...]:
        """Return up to so many others at random that fit."""
        name = self._name
        return pick(self._chance, count, self._list, lambda r: r.member.name != name and fits(r))

    def next_to_probe(self, busy: Callable[[str], bool]) -> Record | None:
        """Return whose turn it is: each once a round, every round in another random order."""
        for _ in range(2):
            while self._order:
                record = self._records.get(self._order.pop())
                if record is not None and record.present and not busy(record.member.name):
                    return record
            self._order = [name for name in self._records if name != self._name]
            self._chance.shuffle(self._order)
        return None

    def reap(self, since: float, now: float) -> None:
        """Forget those that are gone since then or longer."""
        for name, (_, until) in list(self._buried.items()):
            if until > now and len(self._buried) <= LIMIT:
                break
            del self._buried[name]
        if self.present == len(self._list):
            return
        gone = [r for r in self._list if not r.present and r.since <= since]
        for record in gone:
            member = record.member
            if member.name != self._name:
                del self._records[member.name]
                self._buried[member.name] = (member, now + BURIED)
                self._moved_from(member)
        if gone:
            self._list = list(self._records.values())

    def _moved_from(self, member: Member) -> None:
        """A member is not at its endpoint any more."""
        if self._at.get(member.endpoint) == member.name:
            del self._at[member.endpoint]
        host = member.endpoint.address
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
