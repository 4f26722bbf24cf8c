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

    __slots__ = ("_least", "_most", "_needed", "_reporters", "_since")

    def __init__(self, settings: Settings, members: int, reporter: str, now: float) -> None:
        self._needed = settings.suspicion_mult - 2
        if members - 2 < self._needed:  # besides us and the suspect
            self._needed = 0
        self._least = least_time(settings, members)
        self._most = settings.suspicion_max_timeout_mult * self._least
        self._since = now
        self._reporters = {reporter}

    @property
    def confirmations(self) -> int:
        """How many others agree."""
        return len(self._reporters) - 1

    @property
    def deadline(self) -> float:
        """When the member counts as dead."""
        if self._needed < 1:
            return self._since + self._least
        share = log(self.confirmations + 1) / log(self._needed + 1)
        return self._since + max(self._least, self._most - share * (self._most - self._least))

    def confirm(self, reporter: str) -> bool:
        """Another thinks so, too. Returns whether that is news."""
        if self.confirmations >= self._needed or reporter in self._reporters:
            return False
        self._reporters.add(reporter)
        return True
