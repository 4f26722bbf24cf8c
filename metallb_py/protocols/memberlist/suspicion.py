"""How long a suspected member has to show that it is alive (Lifeguard, section IV.B)."""

from __future__ import annotations

from math import ceil, log, log2, log10

from metallb_py.protocols.memberlist.settings import Settings

PUSH_PULL_UNSCALED = 32
"""Larger clusters exchange everything less often."""


def least_time(settings: Settings, members: int) -> float:
    """Return for how many seconds a member is suspected where enough others agree."""
    scale = max(1.0, log10(max(1, members)))
    return settings.suspicion_mult * scale * settings.probe_interval


def retransmissions(settings: Settings, members: int) -> int:
    """Return how often a member tells each rumour."""
    return settings.retransmit_mult * ceil(log10(members + 1))


def push_pull_interval(settings: Settings, members: int) -> float:
    """Return how many seconds pass between exchanges of everything that is known."""
    if members <= PUSH_PULL_UNSCALED:
        return settings.push_pull_interval
    return settings.push_pull_interval * (ceil(log2(members) - log2(PUSH_PULL_UNSCALED)) + 1)


class Suspicion:
    """One member's, from one incarnation of it.

    It lasts long as long as only one thinks so, for that one may be unwell itself; every other
    member that agrees shortens it, down to the least time.
    """

    __slots__ = (
        "_grace",
        "_least",
        "_most",
        "_needed",
        "_not_before",
        "_reporters",
        "_since",
        "seen",
    )

    def __init__(self, settings: Settings, members: int, reporter: str, now: float) -> None:
        needed = max(0, settings.suspicion_mult - 2)
        self._needed = needed if members - 2 >= needed else 0  # besides us and the suspect
        self._least = least_time(settings, members)
        self._grace = settings.probe_interval if settings.eager else 0.0
        self._most = settings.suspicion_max_timeout_mult * self._least
        self._since = self._not_before = now
        self._reporters = {reporter}
        self.seen = False
        """Whether we looked for the member ourselves, in vain, and have not heard of it since."""

    @property
    def confirmations(self) -> int:
        """How many others agree."""
        return len(self._reporters) - 1

    @property
    def deadline(self) -> float:
        """When the member counts as dead."""
        own = self._since + self._least
        if self._needed:
            share = log(self.confirmations + 1) / log(self._needed + 1)
            own = self._since + self._most - share * (self._most - self._least)
        if not self.seen:  # those who have looked may tell, meanwhile
            own += self._grace
        return max(own, self._not_before)

    def answered(self, now: float) -> None:
        """The member was heard of: it is there, though it did not contradict so far."""
        self.seen = False
        self._not_before = now + self._least

    def wait(self, until: float) -> None:
        """Decide nothing before that."""
        self._not_before = until

    def confirm(self, reporter: str) -> bool:
        """Another thinks so, too. Returns whether that is news."""
        if self.confirmations >= self._needed or reporter in self._reporters:
            return False
        self._reporters.add(reporter)
        return True
