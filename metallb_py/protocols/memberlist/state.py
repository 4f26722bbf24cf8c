"""What is believed of members: SWIM's rules (section 4.2), as memberlist applies them.

Theory of operation. A member numbers its own life: each of its Alive messages that is to override
what others say has a higher incarnation than they name. Only it may raise that number. Of two
statements about a member the one with the higher incarnation counts; of the same, suspicion beats
life, and death beats both. Who hears itself accused contradicts with a higher number.

Incarnations begin at the clock's seconds, not at 1: so what was said of an earlier life of this
process, and may be repeated by somebody hostile, is outdated from the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from metallb_py.protocols.memberlist.awareness import Health
from metallb_py.protocols.memberlist.codec.codec import encode
from metallb_py.protocols.memberlist.codec.envelope import Drop
from metallb_py.protocols.memberlist.codec.messages import (
    VERSIONS,
    Alive,
    Dead,
    Endpoint,
    NodeState,
    State,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.events import (
    Accused,
    Effect,
    Member,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
)
from metallb_py.protocols.memberlist.members import LIMIT, Members, Record
from metallb_py.protocols.memberlist.settings import PORT, Settings
from metallb_py.protocols.memberlist.suspicion import Suspicion
from metallb_py.protocols.memberlist.transmit import Post, Tally

INCARNATION_LIMIT: Final = (1 << 32) - 256
"""Beyond this nobody could contradict for long."""


class Rumours:
    """Believes, or does not; passes on what is news."""

    def __init__(
        self,
        settings: Settings,
        members: Members,
        post: Post,
        health: Health,
        tally: Tally,
        do: Callable[[Effect], None],
    ) -> None:
        self._settings = settings
        self._members = members
        self._post = post
        self._health = health
        self._tally = tally
        self._do = do
        self.left = False
        """Whether this member itself has left."""

    def alive(self, said: Alive, now: float) -> None:
        """Somebody says that a member is there."""
        if said.incarnation >= INCARNATION_LIMIT or _speaks_another_language(said.versions):
            self._tally.dropped[Drop.MALFORMED] += 1
            return
        if said.endpoint.port == 0:
            said = replace(said, endpoint=Endpoint(said.endpoint.address, PORT))
        record = self._members.get(said.node)
        if record is None:
            self._take_in(said, now)
        elif said.node == self._members.me.name:
            self._alive_me(said, now)
        else:
            self._alive_known(record, said, now)

    def suspect(self, said: Suspect, now: float) -> Member | None:
        """Somebody suspects a member. Returns it where that is news."""
        record = self._members.get(said.node)
        if record is None or not self._counts(record, said.incarnation):
            return None
        if record.suspicion is not None:
            if record.suspicion.confirm(said.reporter):
                self._pass_on(said.node, said)
            return None
        if record.member.state is not State.ALIVE:
            return None
        if said.node == self._members.me.name:
            self._contradict(said.incarnation, said.reporter, now)
            return None
        suspicion = Suspicion(self._settings, self._members.present, said.reporter, now)
        self._members.suspect(record, said.incarnation, suspicion, now)
        self._pass_on(said.node, said)
        self._do(MemberSuspected(record.member, said.reporter))
        return record.member

    def dead(self, said: Dead, now: float) -> None:
        """Somebody says that a member has failed; or it says itself that it leaves."""
        record = self._members.get(said.node)
        if record is None or not record.present or not self._counts(record, said.incarnation):
            return
        mine = said.node == self._members.me.name
        if mine and not self.left:
            self._contradict(said.incarnation, said.reporter, now)
            return
        state = State.LEFT if said.reporter == said.node else State.DEAD
        member = replace(record.member, state=state, incarnation=said.incarnation)
        self._members.put(member, now)
        self._pass_on(said.node, said)
        if not mine:
            self._do(MemberDown(member, said.reporter))

    def merge(self, states: tuple[NodeState, ...], now: float) -> list[Member]:
        """Take over what another member knows; of failures it may know no more than we do.

        Returns those that are under suspicion now, and were not.
        """
        me = self._members.me.name
        news: list[Member | None] = []
        for said in states:
            match said.state:
                case State.ALIVE:
                    self.alive(
                        Alive(said.incarnation, said.node, said.endpoint, said.meta, said.versions),
                        now,
                    )
                case State.LEFT:
                    self.dead(Dead(said.incarnation, said.node, said.node), now)
                case State.SUSPECT | State.DEAD:
                    news.append(self.suspect(Suspect(said.incarnation, said.node, me), now))
        return [member for member in news if member is not None]

    def announce_me(self, member: Member, now: float) -> None:
        """This member changed: tell everybody."""
        self._members.put(member, now)
        self._pass_on(member.name, alive(member))

    def _take_in(self, said: Alive, now: float) -> None:
        buried = self._members.buried(said.node, now)
        if buried is not None and self._settings.eager and not _is_news(said, buried):
            if said.endpoint == buried.endpoint:  # if it does live, it is to say so itself
                accusation = Suspect(buried.incarnation, said.node, self._members.me.name)
                self._post.send(said.endpoint, accusation)
            return
        expected = self._members.expects(said.node, said.endpoint.address)
        if len(self._members) >= LIMIT and not expected:
            self._tally.dropped[Drop.OVERSIZED] += 1
            return
        member = _member(said)
        self._members.put(member, now)
        self._pass_on(said.node, said)
        self._do(MemberUp(member))

    def _alive_known(self, record: Record, said: Alive, now: float) -> None:
        before = record.member
        if said.endpoint != before.endpoint and record.present:
            self._decide_between(before, said, now)
            return
        if not _is_news(said, before):
            return
        member = _member(said)
        self._members.put(member, now)
        self._pass_on(said.node, said)
        match before.state:
            case State.DEAD | State.LEFT:
                self._do(MemberUp(member))
            case State.SUSPECT:
                self._do(MemberTrusted(member))
            case State.ALIVE:
                pass
        if before.state in (State.ALIVE, State.SUSPECT) and member.meta != before.meta:
            self._do(MemberChanged(member))

    def _decide_between(self, before: Member, said: Alive, now: float) -> None:
        """Two claim one name: the first counts, unless the other alone is where it is expected."""
        self._tally.dropped[Drop.CONFLICT] += 1
        expects, name = self._members.expects, said.node
        if expects(name, said.endpoint.address) and not expects(name, before.endpoint.address):
            member = _member(said)
            self._members.put(member, now)
            self._pass_on(name, said)
            self._do(MemberChanged(member))
            self._do(NameConflict(name, said.endpoint, before.endpoint))
        else:
            self._do(NameConflict(name, before.endpoint, said.endpoint))

    def _alive_me(self, said: Alive, now: float) -> None:
        """Others may know an earlier life of this member."""
        me = self._members.me
        if said.endpoint != me.endpoint:
            self._do(NameConflict(me.name, me.endpoint, said.endpoint))
        if self.left or said.incarnation < me.incarnation:
            return
        same = said.meta == me.meta and said.versions == me.versions
        if said.incarnation > me.incarnation or not same:
            self._contradict(said.incarnation, "", now)

    def _contradict(self, incarnation: int, reporter: str, now: float) -> None:
        """Tell everybody that this member is alive, whatever they say."""
        me = self._members.me
        member = replace(me, incarnation=max(me.incarnation, incarnation) + 1)
        self.announce_me(member, now)
        self._health.change(1)
        if reporter:
            self._do(Accused(reporter))

    def _counts(self, record: Record, incarnation: int) -> bool:
        if incarnation >= INCARNATION_LIMIT:
            self._tally.dropped[Drop.MALFORMED] += 1
            return False
        return incarnation >= record.member.incarnation

    def _pass_on(self, about: str, said: Alive | Suspect | Dead) -> None:
        self._post.rumours.add(about, encode(said))


def alive(member: Member) -> Alive:
    """Return what tells of a member that it is there."""
    return Alive(member.incarnation, member.name, member.endpoint, member.meta, member.versions)


def _is_news(said: Alive, before: Member) -> bool:
    """Whether a statement counts against what was known before."""
    # One that left may begin again from 1 at another address; then its number says nothing.
    anew = said.endpoint != before.endpoint and before.state is State.LEFT
    return anew or said.incarnation > before.incarnation


def _member(said: Alive) -> Member:
    return Member(said.node, said.endpoint, said.incarnation, State.ALIVE, said.meta, said.versions)


def _speaks_another_language(versions: Versions) -> bool:
    """Whether somebody understands nothing that we speak; without any versions it is very old."""
    if versions == Versions(0, 0, 0, 0, 0, 0):
        return False
    ours = VERSIONS
    return not (
        0 < versions.least <= ours.current <= versions.most
        and ours.least <= versions.current <= ours.most
    )
