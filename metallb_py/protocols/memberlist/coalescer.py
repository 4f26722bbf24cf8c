"""The news of a cluster, merged for a reader that is slower than the news.

A member of the cluster can report joins and changes faster than anything that depends on them can
be computed. Of each member only what matters is kept until it is read: the latest two events of
its life (that it left and came back is more than that it is there), and the latest doubt, in the
order in which they came: a suspicion is never read after the death that it led to. So the size is
bounded by that of the member table, not by the rate of events.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, assert_never

from metallb_py.protocols.memberlist.events import (
    Accused,
    Joined,
    JoinFailed,
    MemberChanged,
    MemberDown,
    MemberSuspected,
    MemberTrusted,
    MemberUp,
    NameConflict,
    News,
    RoundTrip,
)

ACCUSERS: Final = 64
"""The most reporters of whom an accusation is kept: their names are any text."""

_Life = MemberUp | MemberChanged | MemberDown
_Doubt = MemberSuspected | MemberTrusted


class Coalescer:
    """Events since the last ``take``, merged."""

    __slots__ = ("_accusers", "_lives", "_others")

    def __init__(self) -> None:
        self._lives: dict[str, list[_Life | _Doubt]] = {}
        self._others: dict[Hashable, News] = {}
        self._accusers = 0

    def __bool__(self) -> bool:
        return bool(self._lives or self._others)

    def add(self, event: News) -> None:
        """Take in an event."""
        match event:
            case MemberUp(member) | MemberChanged(member) | MemberDown(member):
                self._lives[member.name] = _merged(self._lives.get(member.name, []), event)
            case MemberSuspected(member) | MemberTrusted(member):
                self._lives[member.name] = _doubted(self._lives.get(member.name, []), event)
            case NameConflict(name):
                self._others["conflict", name] = event
            case Accused(reporter):
                self._accused(reporter, event)
            case Joined(endpoint) | JoinFailed(endpoint):
                self._others["join", endpoint] = event
            case RoundTrip(node):
                self._others["round trip", node] = event
            case _:
                assert_never(event)

    def take(self) -> tuple[News, ...]:
        """Return what was merged, the members' lives first, and begin anew."""
        lives = [event for events in self._lives.values() for event in events]
        taken = (*lives, *self._others.values())
        self._lives, self._others, self._accusers = {}, {}, 0
        return taken

    def _accused(self, reporter: str, event: Accused) -> None:
        if ("accused", reporter) in self._others:
            return
        if self._accusers < ACCUSERS:
            self._accusers += 1
            self._others["accused", reporter] = event


def _merged(before: list[_Life | _Doubt], event: _Life) -> list[_Life | _Doubt]:
    """Return the latest two events of a member's life. A change is part of what it changed."""
    lives = [at for at, one in enumerate(before) if not isinstance(one, _Doubt)]
    if not lives:
        return [*before, event]
    latest = lives[-1]
    if isinstance(event, MemberChanged):
        match before[latest]:
            case MemberUp():
                return [*before[:latest], MemberUp(event.member), *before[latest + 1 :]]
            case MemberChanged():
                return [*before[:latest], event, *before[latest + 1 :]]
            case _:
                pass
    kept = [one for at, one in enumerate(before) if at == latest or isinstance(one, _Doubt)]
    return [*kept, event]


def _doubted(before: list[_Life | _Doubt], event: _Doubt) -> list[_Life | _Doubt]:
    """Return the member's life with its latest doubt."""
    return [*(one for one in before if not isinstance(one, _Doubt)), event]
