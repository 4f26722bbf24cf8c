"""Membership state: SWIM's rules for alive, suspect and dead (section 4.2), as in memberlist.

Theory of operation. Each member has an incarnation number, which only the member itself raises: an
Alive message that is to override other messages has a higher incarnation than they have. Of two
messages about a member, the one with the higher incarnation counts; at the same incarnation,
suspect overrides alive, and dead overrides both. A member that receives a suspicion of itself
refutes it with a higher incarnation.

``decide`` is pure: it reads the member table, and returns what a message changes; ``Memberlist``
performs the change.

Incarnations begin at the clock's seconds, not at 1: so messages about an earlier run of this
process, which an attacker may replay, are outdated from the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, assert_never

from metallb_py.protocols.memberlist.codec.envelope import Drop
from metallb_py.protocols.memberlist.codec.messages import (
    VERSIONS,
    Alive,
    Dead,
    Endpoint,
    State,
    Suspect,
    Versions,
)
from metallb_py.protocols.memberlist.events import (
    ClusterEvent,
    Member,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    SelfSuspected,
)
from metallb_py.protocols.memberlist.members import LIMIT, PRESENT, Members
from metallb_py.protocols.memberlist.settings import PORT, Settings
from metallb_py.protocols.memberlist.suspicion import Suspicion
from metallb_py.protocols.memberlist.transmit import SendMessages

INCARNATION_LIMIT: Final = (1 << 32) - 256
"""Higher incarnations are rejected: the member could hardly raise them further to refute."""

StateMessage = Alive | Suspect | Dead
"""Messages about the state of a member."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one message changes. What is not set, does not change."""

    member: Member | None = None
    """New state of the message's member, for the member table."""
    broadcast: StateMessage | None = None
    """Message to broadcast: the received one, or the Alive that refutes it."""
    events: tuple[ClusterEvent, ...] = ()
    """Events to report."""
    suspicion: Suspicion | None = None
    """Suspicion of ``member``, if it became suspect."""
    confirmed_by: str | None = None
    """Reporter that confirms the suspicion of a member that was suspect before."""
    refuted: bool = False
    """Whether ``broadcast`` refutes the message, which is a sign of this member's poor health."""
    verification: SendMessages | None = None
    """Message to a removed member that would be added again, so that it refutes if it lives."""
    dropped: Drop | None = None
    """Reason for which the message, or one of two members of its name, is rejected and counted."""


_MALFORMED: Final = Change(dropped=Drop.MALFORMED)


def decide(
    members: Members, settings: Settings, message: StateMessage, now: float
) -> Change | None:
    """Return what a message changes, or None."""
    match message:
        case Alive():
            return _alive(members, settings, message, now)
        case Suspect():
            return _suspect(members, settings, message, now)
        case Dead():
            return _dead(members, message)
        case _:
            assert_never(message)


def alive(member: Member) -> Alive:
    """Return the Alive message for a member."""
    return Alive(member.incarnation, member.name, member.endpoint, member.meta, member.versions)


def _alive(members: Members, settings: Settings, message: Alive, now: float) -> Change | None:
    if message.incarnation >= INCARNATION_LIMIT or _is_incompatible_version(message.versions):
        return _MALFORMED
    if message.endpoint.port == 0:
        message = replace(message, endpoint=Endpoint(message.endpoint.address, PORT))
    record = members.get(message.node)
    if record is None:
        return _alive_unknown(members, settings, message, now)
    if message.node == members.me.name:
        return _alive_me(members.me, message)
    if message.endpoint != record.member.endpoint and record.present:
        return _conflict(members, record.member, message)
    return _alive_known(record.member, message) if _is_newer(message, record.member) else None


def _alive_unknown(
    members: Members, settings: Settings, message: Alive, now: float
) -> Change | None:
    tombstone = members.tombstone(message.node, now)
    if tombstone is not None and settings.fast_detection and not _is_newer(message, tombstone):
        return _verify(tombstone, message, members.me)
    expected = members.expects(message.node, message.endpoint.address)
    if len(members) >= LIMIT and not expected:
        return Change(dropped=Drop.OVERSIZED)
    member = _member(message)
    return Change(member, message, (MemberUp(member),))


def _verify(tombstone: Member, message: Alive, me: Member) -> Change | None:
    """Send a suspicion to the removed member, but to no other host that claims its name."""
    if message.endpoint != tombstone.endpoint:
        return None
    suspect = Suspect(tombstone.incarnation, message.node, me.name)
    return Change(verification=SendMessages(message.endpoint, (suspect,)))


def _alive_known(before: Member, message: Alive) -> Change:
    member = _member(message)
    if before.state not in PRESENT:
        return Change(member, message, (MemberUp(member),))
    trusted = (MemberTrusted(member),) if before.state is State.SUSPECT else ()
    changed = (MemberChanged(member),) if member.meta != before.meta else ()
    return Change(member, message, (*trusted, *changed))


def _conflict(members: Members, before: Member, message: Alive) -> Change:
    """Resolve a name conflict: the first counts, unless only the other is expected there."""
    expects, name = members.expects, message.node
    if expects(name, message.endpoint.address) and not expects(name, before.endpoint.address):
        member = _member(message)
        conflict = NameConflict(name, message.endpoint, before.endpoint)
        events = (MemberChanged(member), conflict)
        return Change(member, message, events, dropped=Drop.CONFLICT)
    conflict = NameConflict(name, before.endpoint, message.endpoint)
    return Change(events=(conflict,), dropped=Drop.CONFLICT)


def _alive_me(me: Member, message: Alive) -> Change | None:
    """Handle an Alive about this member: others may have the state of an earlier run."""
    conflict: tuple[ClusterEvent, ...] = ()
    if message.endpoint != me.endpoint:
        conflict = (NameConflict(me.name, me.endpoint, message.endpoint),)
    announced = (me.incarnation, me.meta, me.versions)
    same = (message.incarnation, message.meta, message.versions) == announced
    if same or message.incarnation < me.incarnation or me.state is State.LEFT:
        return Change(events=conflict) if conflict else None
    return _refutation(me, message.incarnation, conflict)


def _suspect(members: Members, settings: Settings, message: Suspect, now: float) -> Change | None:
    record = members.get(message.node)
    if record is None:
        return None
    if message.incarnation >= INCARNATION_LIMIT:
        return _MALFORMED
    if message.incarnation < record.member.incarnation:
        return None
    if record.suspicion is not None:
        counts = record.suspicion.is_shortened_by(message.reporter)
        return Change(broadcast=message, confirmed_by=message.reporter) if counts else None
    if record.member.state is not State.ALIVE:
        return None
    if message.node == members.me.name:
        return _refutation(members.me, message.incarnation, _self_suspected(message.reporter))
    suspicion = Suspicion(settings, members.present, message.reporter, now)
    member = replace(record.member, state=State.SUSPECT, incarnation=message.incarnation)
    events = (MemberSuspected(member, message.reporter),)
    return Change(member, message, events, suspicion=suspicion)


def _dead(members: Members, message: Dead) -> Change | None:
    """Handle a Dead message. From the member itself it announces that the member leaves."""
    record = members.get(message.node)
    if record is None or not record.present:
        return None
    if message.incarnation >= INCARNATION_LIMIT:
        return _MALFORMED
    if message.incarnation < record.member.incarnation:
        return None
    if message.node == members.me.name:
        return _refutation(members.me, message.incarnation, _self_suspected(message.reporter))
    state = State.LEFT if message.reporter == message.node else State.DEAD
    member = replace(record.member, state=state, incarnation=message.incarnation)
    return Change(member, message, (MemberDown(member, message.reporter),))


def _refutation(me: Member, incarnation: int, events: tuple[ClusterEvent, ...]) -> Change:
    """Raise this member's incarnation above ``incarnation``."""
    me = replace(me, incarnation=max(me.incarnation, incarnation) + 1)
    return Change(me, alive(me), events, refuted=True)


def _self_suspected(reporter: str) -> tuple[ClusterEvent, ...]:
    return (SelfSuspected(reporter),) if reporter else ()


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
