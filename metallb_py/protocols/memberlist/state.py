"""Membership state: SWIM's rules for alive, suspect and dead (section 4.2), as in memberlist.

Theory of operation. Each member has an incarnation number, which only the member itself raises: an
Alive message that is to override other messages has a higher incarnation than they have. Of two
messages about a member, the one with the higher incarnation counts; at the same incarnation,
suspect overrides alive, and dead overrides both. A member that receives a suspicion of itself
refutes it with a higher incarnation.

Incarnations begin at the clock's seconds, not at 1: so messages about an earlier run of this
process, which an attacker may replay, are outdated from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from metallb_py.protocols.memberlist.awareness import Awareness
from metallb_py.protocols.memberlist.codec.encode import encode
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
    Effect,
    Member,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    SelfSuspected,
)
from metallb_py.protocols.memberlist.members import LIMIT, Members, Record
from metallb_py.protocols.memberlist.settings import PORT, Settings
from metallb_py.protocols.memberlist.suspicion import Suspicion
from metallb_py.protocols.memberlist.transmit import Counters, PacketSender

INCARNATION_LIMIT: Final = (1 << 32) - 256
"""Higher incarnations are rejected: the member could hardly raise them further to refute."""


class MembershipState:
    """Applies alive, suspect and dead messages to the member table; broadcasts what changed."""

    def __init__(
        self,
        settings: Settings,
        members: Members,
        sender: PacketSender,
        health: Awareness,
        counters: Counters,
        emit: Callable[[Effect], None],
    ) -> None:
        self._settings = settings
        self._members = members
        self._sender = sender
        self._health = health
        self._counters = counters
        self._emit = emit
        self.left = False
        """Whether this member itself has left the cluster."""

    def alive(self, message: Alive, now: float) -> None:
        """Apply an Alive message."""
        if message.incarnation >= INCARNATION_LIMIT or _is_incompatible_version(message.versions):
            self._counters.dropped[Drop.MALFORMED] += 1
            return
        if message.endpoint.port == 0:
            message = replace(message, endpoint=Endpoint(message.endpoint.address, PORT))
        record = self._members.get(message.node)
        if record is None:
            self._add_member(message, now)
        elif message.node == self._members.me.name:
            self._alive_me(message, now)
        else:
            self._alive_known(record, message, now)

    def suspect(self, message: Suspect, now: float) -> Member | None:
        """Apply a Suspect message. Return the member if it was not suspect before."""
        record = self._members.get(message.node)
        if record is None or not self._overrides(record, message.incarnation):
            return None
        if record.suspicion is not None:
            if record.suspicion.confirm(message.reporter):
                self._broadcast(message.node, message)
            return None
        if record.member.state is not State.ALIVE:
            return None
        if message.node == self._members.me.name:
            self._refute(message.incarnation, message.reporter, now)
            return None
        suspicion = Suspicion(self._settings, self._members.present, message.reporter, now)
        self._members.suspect(record, message.incarnation, suspicion, now)
        self._broadcast(message.node, message)
        self._emit(MemberSuspected(record.member, message.reporter))
        return record.member

    def dead(self, message: Dead, now: float) -> None:
        """Apply a Dead message. From the member itself it announces that the member leaves."""
        record = self._members.get(message.node)
        if record is None or not record.present or not self._overrides(record, message.incarnation):
            return
        about_me = message.node == self._members.me.name
        if about_me and not self.left:
            self._refute(message.incarnation, message.reporter, now)
            return
        state = State.LEFT if message.reporter == message.node else State.DEAD
        member = replace(record.member, state=state, incarnation=message.incarnation)
        self._members.put(member, now)
        self._broadcast(message.node, message)
        if not about_me:
            self._emit(MemberDown(member, message.reporter))

    def merge(self, states: tuple[NodeState, ...], now: float) -> list[Member]:
        """Merge the state that another member sent in a push-pull.

        A dead member there is only suspected here, as in memberlist: the other state may be
        outdated. Return the members that became suspect.
        """
        me = self._members.me.name
        suspects: list[Member | None] = []
        for each in states:
            match each.state:
                case State.ALIVE:
                    self.alive(
                        Alive(each.incarnation, each.node, each.endpoint, each.meta, each.versions),
                        now,
                    )
                case State.LEFT:
                    self.dead(Dead(each.incarnation, each.node, each.node), now)
                case State.SUSPECT | State.DEAD:
                    suspects.append(self.suspect(Suspect(each.incarnation, each.node, me), now))
        return [member for member in suspects if member is not None]

    def announce_me(self, member: Member, now: float) -> None:
        """Store a change of this member, and broadcast it."""
        self._members.put(member, now)
        self._broadcast(member.name, alive(member))

    def _add_member(self, message: Alive, now: float) -> None:
        tombstone = self._members.tombstone(message.node, now)
        if (
            tombstone is not None
            and self._settings.fast_detection
            and not _is_newer(message, tombstone)
        ):
            if message.endpoint == tombstone.endpoint:  # if it is alive after all, it can refute
                suspect = Suspect(tombstone.incarnation, message.node, self._members.me.name)
                self._sender.send(message.endpoint, suspect)
            return
        expected = self._members.expects(message.node, message.endpoint.address)
        if len(self._members) >= LIMIT and not expected:
            self._counters.dropped[Drop.OVERSIZED] += 1
            return
        member = _member(message)
        self._members.put(member, now)
        self._broadcast(message.node, message)
        self._emit(MemberUp(member))

    def _alive_known(self, record: Record, message: Alive, now: float) -> None:
        before = record.member
        if message.endpoint != before.endpoint and record.present:
            self._resolve_conflict(before, message, now)
            return
        if not _is_newer(message, before):
            return
        member = _member(message)
        self._members.put(member, now)
        self._broadcast(message.node, message)
        match before.state:
            case State.DEAD | State.LEFT:
                self._emit(MemberUp(member))
            case State.SUSPECT:
                self._emit(MemberTrusted(member))
            case State.ALIVE:
                pass
        if before.state in (State.ALIVE, State.SUSPECT) and member.meta != before.meta:
            self._emit(MemberChanged(member))

    def _resolve_conflict(self, before: Member, message: Alive, now: float) -> None:
        """Resolve a name conflict: the first counts, unless only the other is expected there."""
        self._counters.dropped[Drop.CONFLICT] += 1
        expects, name = self._members.expects, message.node
        if expects(name, message.endpoint.address) and not expects(name, before.endpoint.address):
            member = _member(message)
            self._members.put(member, now)
            self._broadcast(name, message)
            self._emit(MemberChanged(member))
            self._emit(NameConflict(name, message.endpoint, before.endpoint))
        else:
            self._emit(NameConflict(name, before.endpoint, message.endpoint))

    def _alive_me(self, message: Alive, now: float) -> None:
        """Apply an Alive message about this member: others may have the state of an earlier run."""
        me = self._members.me
        if message.endpoint != me.endpoint:
            self._emit(NameConflict(me.name, me.endpoint, message.endpoint))
        if self.left or message.incarnation < me.incarnation:
            return
        same = message.meta == me.meta and message.versions == me.versions
        if message.incarnation > me.incarnation or not same:
            self._refute(message.incarnation, "", now)

    def _refute(self, incarnation: int, reporter: str, now: float) -> None:
        """Broadcast that this member is alive, with an incarnation above ``incarnation``."""
        me = self._members.me
        member = replace(me, incarnation=max(me.incarnation, incarnation) + 1)
        self.announce_me(member, now)
        self._health.change(1)
        if reporter:
            self._emit(SelfSuspected(reporter))

    def _overrides(self, record: Record, incarnation: int) -> bool:
        if incarnation >= INCARNATION_LIMIT:
            self._counters.dropped[Drop.MALFORMED] += 1
            return False
        return incarnation >= record.member.incarnation

    def _broadcast(self, node: str, message: Alive | Suspect | Dead) -> None:
        self._sender.broadcasts.add(node, encode(message))


def alive(member: Member) -> Alive:
    """Return the Alive message for a member."""
    return Alive(member.incarnation, member.name, member.endpoint, member.meta, member.versions)


def _is_newer(message: Alive, before: Member) -> bool:
    """Whether an Alive message overrides the known state of its member."""
    # A member that left may restart from 1 at another address; its incarnation proves nothing.
    rejoined = message.endpoint != before.endpoint and before.state is State.LEFT
    return rejoined or message.incarnation > before.incarnation


def _member(message: Alive) -> Member:
    return Member(
        message.node,
        message.endpoint,
        message.incarnation,
        State.ALIVE,
        message.meta,
        message.versions,
    )


def _is_incompatible_version(versions: Versions) -> bool:
    """Whether the versions do not overlap. A member that states none is very old, and accepted."""
    if versions == Versions(0, 0, 0, 0, 0, 0):
        return False
    ours = VERSIONS
    return not (
        0 < versions.least <= ours.current <= versions.most
        and ours.least <= versions.current <= ours.most
    )
