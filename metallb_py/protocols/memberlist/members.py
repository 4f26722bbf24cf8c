"""The member table: probe order (SWIM, section 4.3), and random choice of members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from metallb_py.addresses import IPAddress
from metallb_py.protocols.memberlist.codec.messages import Endpoint, State
from metallb_py.protocols.memberlist.events import Member
from metallb_py.protocols.memberlist.suspicion import Suspicion

T = TypeVar("T")


class Random(Protocol):
    """A source of randomness, such as ``random.Random``."""

    def random(self) -> float:
        """Return a number in [0, 1)."""

    def shuffle(self, x: list[T]) -> None:
        """Shuffle a list in place."""


def sample(rng: Random, count: int, among: Sequence[T], fits: Callable[[T], bool]) -> tuple[T, ...]:
    """Return up to ``count`` different random elements that fit.

    If few are wanted of many, only some elements are tried, so it may (rarely) return fewer than
    exist.
    """
    size = len(among)
    if size <= 3 * count:
        found = [element for element in among if fits(element)]
        rng.shuffle(found)
        return tuple(found[:count])
    drawn: dict[int, T] = {}
    for _ in range(3 * count + 8):
        index = int(rng.random() * size)
        if index not in drawn and fits(among[index]):
            drawn[index] = among[index]
            if len(drawn) == count:
                break
    return tuple(drawn.values())


LIMIT = 8192
"""Most members in the table, so that no host can make it grow without bound. Expected members are
added beyond it, whatever names other hosts invent."""
Speakers = Mapping[str, frozenset[IPAddress]]
"""The addresses of members, by name, from a source that members cannot write to."""
TOMBSTONE_SECONDS: Final = 600.0
"""Seconds for which the last state of a removed member is kept."""
PRESENT = (State.ALIVE, State.SUSPECT)
"""States in which a member takes part."""


class Record:
    """A member, the time of its last change of state, and its suspicion, if it is suspect."""

    __slots__ = ("member", "since", "suspicion")

    def __init__(self, member: Member, now: float) -> None:
        self.member = member
        self.since = now
        self.suspicion: Suspicion | None = None

    @property
    def present(self) -> bool:
        """Whether the member is alive or suspect."""
        return self.member.state in PRESENT


class Members:
    """The member table, including this member itself."""

    def __init__(self, me: Member, rng: Random, now: float) -> None:
        self._rng = rng
        self._name = me.name
        self._records = {me.name: Record(me, now)}
        self._name_at = {me.endpoint: me.name}
        self._hosts = Counter((me.endpoint.address,))
        self._expected: Speakers | None = None
        self._expected_hosts: frozenset[IPAddress] = frozenset()
        self._list = [self._records[me.name]]
        self._round: list[str] = []  # to probe in this round; the last one first
        self.suspected: dict[str, Suspicion] = {}
        """The suspicion of each suspect member, by name."""
        self.present = 1
        """Number of members that are alive or suspect."""
        self._tombstone: dict[str, tuple[Member, float]] = {}  # with its expiry; oldest first

    def __iter__(self) -> Iterator[Record]:
        return iter(self._list)

    def __len__(self) -> int:
        return len(self._list)

    @property
    def me(self) -> Member:
        """This member itself."""
        return self._records[self._name].member

    def get(self, name: str) -> Record | None:
        """Return the record of a member, or None."""
        return self._records.get(name)

    def tombstone(self, name: str, now: float) -> Member | None:
        """Return the last state of a recently removed member, or None.

        Other members may have missed that it is gone, and still send it as alive.
        """
        member, until = self._tombstone.get(name, (None, now))
        return member if until > now else None

    def at(self, endpoint: Endpoint) -> Record | None:
        """Return the record of the member at an endpoint, or None."""
        name = self._name_at.get(endpoint)
        return None if name is None else self._records[name]

    def expect(self, speakers: Speakers) -> None:
        """Set the expected members and their addresses."""
        self._expected = speakers
        self._expected_hosts = frozenset().union(*speakers.values())

    def is_known_host(self, host: IPAddress) -> bool:
        """Whether an address is an expected member's; if none are expected, any known member's."""
        return host in (self._hosts if self._expected is None else self._expected_hosts)

    def expects(self, name: str, host: IPAddress) -> bool:
        """Whether a member of this name is expected at an address."""
        return self._expected is not None and host in self._expected.get(name, ())

    def put(self, member: Member, now: float, suspicion: Suspicion | None = None) -> None:
        """Add or replace a member, with its suspicion if it is suspect."""
        record = self._records.get(member.name)
        if record is None:
            record = self._records[member.name] = Record(member, now)
            self._hosts[member.endpoint.address] += 1
            self._tombstone.pop(member.name, None)
            self.present += record.present
            self._list.append(record)
            self._round.insert(int(self._rng.random() * (len(self._round) + 1)), member.name)
        else:
            if record.member.endpoint != member.endpoint:
                self._remove_endpoint(record.member)
                self._hosts[member.endpoint.address] += 1
            if record.member.state is not member.state:
                record.since = now
            self.present -= record.present
            record.member = member
            self.present += record.present
            self.suspected.pop(member.name, None)
        self._name_at[member.endpoint] = member.name
        record.suspicion = suspicion
        if suspicion is not None:
            self.suspected[member.name] = suspicion

    def confirm(self, name: str, reporter: str) -> None:
        """Record that one more member suspects a suspect."""
        suspicion = self.suspected.get(name)
        if suspicion is not None:
            suspicion.confirm(reporter)

    def answered(self, member: Member, now: float) -> None:
        """Record that a member answered a probe."""
        suspicion = self.suspected.get(member.name)
        if suspicion is not None:
            suspicion.answered(now)

    def overdue(self, now: float) -> list[tuple[Record, Suspicion]]:
        """Return the members whose time to refute a suspicion has passed."""
        due = [(name, each) for name, each in self.suspected.items() if each.deadline <= now]
        return [(self._records[name], suspicion) for name, suspicion in due]

    def sample(self, count: int, fits: Callable[[Record], bool]) -> tuple[Record, ...]:
        """Return up to ``count`` random other members that fit (memberlist: ``kRandomNodes``)."""
        name = self._name
        return sample(self._rng, count, self._list, lambda r: r.member.name != name and fits(r))

    def next_to_probe(self, busy: Callable[[str], bool]) -> Record | None:
        """Return the next member to probe: each once per round, each round in random order."""
        for _ in range(2):
            while self._round:
                record = self._records.get(self._round.pop())
                if record is not None and record.present and not busy(record.member.name):
                    return record
            self._round = [name for name in self._records if name != self._name]
            self._rng.shuffle(self._round)
        return None

    def reap(self, since: float, now: float) -> None:
        """Remove the members that failed or left at ``since`` or before, and expired tombstones."""
        for name, (_, until) in list(self._tombstone.items()):
            if until > now and len(self._tombstone) <= LIMIT:
                break
            del self._tombstone[name]
        if self.present == len(self._list):
            return
        gone = [r for r in self._list if not r.present and r.since <= since]
        for record in gone:
            member = record.member
            if member.name != self._name:
                del self._records[member.name]
                self._tombstone[member.name] = (member, now + TOMBSTONE_SECONDS)
                self._remove_endpoint(member)
        if gone:
            self._list = list(self._records.values())

    def _remove_endpoint(self, member: Member) -> None:
        """Remove a member's endpoint from the indexes."""
        if self._name_at.get(member.endpoint) == member.name:
            del self._name_at[member.endpoint]
        host = member.endpoint.address
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
