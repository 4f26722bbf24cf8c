"""Coalescing of a cluster's events, for a reader that is slower than they arrive.

A member of the cluster can report joins and changes faster than anything that depends on them can
be computed. Of each member only what matters is kept until it is read: its latest two changes of
state (that it left and returned is more than that it is present), and its latest suspicion event,
in the order in which they came: a suspicion is never read after the death that it led to. So the
size is bounded by that of the member table, not by the rate of events.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, assert_never

from metallb_py.protocols.memberlist.events import (
    ClusterEvent,
    Joined,
    JoinFailed,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    RoundTrip,
    SelfSuspected,
)

MAX_REPORTERS: Final = 64
"""Most reporters of which a SelfSuspected is kept: their names are arbitrary text."""

_Change = MemberUp | MemberChanged | MemberDown
_Suspicion = MemberSuspected | MemberTrusted


class Coalescer:
    """Events since the last ``take``, merged."""

    __slots__ = ("_by_member", "_others", "_reporters")

    def __init__(self) -> None:
        self._by_member: dict[str, list[_Change | _Suspicion]] = {}
        self._others: dict[Hashable, ClusterEvent] = {}
        self._reporters = 0

    def __bool__(self) -> bool:
        return bool(self._by_member or self._others)

    def add(self, event: ClusterEvent) -> None:
        """Merge an event with those that wait."""
        match event:
            case MemberUp(member) | MemberChanged(member) | MemberDown(member):
                earlier = self._by_member.get(member.name, [])
                self._by_member[member.name] = _with_change(earlier, event)
            case MemberSuspected(member) | MemberTrusted(member):
                earlier = self._by_member.get(member.name, [])
                self._by_member[member.name] = _with_suspicion(earlier, event)
            case NameConflict(name):
                self._others["conflict", name] = event
            case SelfSuspected(reporter):
                self._add_self_suspected(reporter, event)
            case Joined(endpoint) | JoinFailed(endpoint):
                self._others["join", endpoint] = event
            case RoundTrip(node):
                self._others["round trip", node] = event
            case _:
                assert_never(event)

    def take(self) -> tuple[ClusterEvent, ...]:
        """Return the merged events, those of members first, and start again empty."""
        of_members = [event for events in self._by_member.values() for event in events]
        taken = (*of_members, *self._others.values())
        self._by_member, self._others, self._reporters = {}, {}, 0
        return taken

    def _add_self_suspected(self, reporter: str, event: SelfSuspected) -> None:
        if ("self suspected", reporter) in self._others:
            return
        if self._reporters < MAX_REPORTERS:
            self._reporters += 1
            self._others["self suspected", reporter] = event


def _with_change(before: list[_Change | _Suspicion], event: _Change) -> list[_Change | _Suspicion]:
    """Return a member's events with this change and the one before it; merge new metadata."""
    changes = [at for at, one in enumerate(before) if not isinstance(one, _Suspicion)]
    if not changes:
        return [*before, event]
    latest = changes[-1]
    if isinstance(event, MemberChanged):
        match before[latest]:
            case MemberUp():
                return [*before[:latest], MemberUp(event.member), *before[latest + 1 :]]
            case MemberChanged():
                return [*before[:latest], event, *before[latest + 1 :]]
            case _:
                pass
    kept = [one for at, one in enumerate(before) if at == latest or isinstance(one, _Suspicion)]
    return [*kept, event]


def _with_suspicion(
    before: list[_Change | _Suspicion], event: _Suspicion
) -> list[_Change | _Suspicion]:
    """Return a member's events with the latest suspicion event alone."""
    return [*(one for one in before if not isinstance(one, _Suspicion)), event]
