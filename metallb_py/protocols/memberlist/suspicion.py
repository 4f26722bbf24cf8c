"""Suspicion timeouts (Lifeguard, section IV.B), and other values scaled by the cluster's size."""

from __future__ import annotations

from math import ceil, log, log2, log10

from metallb_py.protocols.memberlist.settings import Settings

PUSH_PULL_SCALE_THRESHOLD = 32
"""Number of members above which push-pulls become less frequent."""


def min_suspicion_timeout(settings: Settings, members: int) -> float:
    """Return the suspicion timeout in seconds once enough other members have confirmed."""
    scale = max(1.0, log10(max(1, members)))
    return settings.suspicion_mult * scale * settings.probe_interval


def retransmit_limit(settings: Settings, members: int) -> int:
    """Return the number of transmissions of each broadcast."""
    return settings.retransmit_mult * ceil(log10(members + 1))


def push_pull_interval(settings: Settings, members: int) -> float:
    """Return the seconds between push-pulls."""
    if members <= PUSH_PULL_SCALE_THRESHOLD:
        return settings.push_pull_interval
    return settings.push_pull_interval * (ceil(log2(members) - log2(PUSH_PULL_SCALE_THRESHOLD)) + 1)


class Suspicion:
    """Suspicion of one member, at one incarnation.

    The timeout is long while there is a single reporter, since that one may be unhealthy itself;
    each further reporter shortens it, down to the least.
    """

    __slots__ = (
        "_grace",
        "_least",
        "_most",
        "_needed",
        "_not_before",
        "_reporters",
        "_since",
        "probe_failed",
    )

    def __init__(self, settings: Settings, members: int, reporter: str, now: float) -> None:
        needed = max(0, settings.suspicion_mult - 2)
        self._needed = needed if members - 2 >= needed else 0  # besides this member and the suspect
        self._least = min_suspicion_timeout(settings, members)
        self._grace = settings.probe_interval if settings.fast_detection else 0.0
        self._most = settings.suspicion_max_timeout_mult * self._least
        self._since = self._not_before = now
        self._reporters = {reporter}
        self.probe_failed = False
        """Whether our own probe of the suspect failed, and it has answered none since."""

    @property
    def confirmations(self) -> int:
        """Number of reporters besides the first."""
        return len(self._reporters) - 1

    @property
    def deadline(self) -> float:
        """Time at which the suspect is declared dead, unless it refutes."""
        own = self._since + self._least
        if self._needed:
            share = log(self.confirmations + 1) / log(self._needed + 1)
            own = self._since + self._most - share * (self._most - self._least)
        if not self.probe_failed:  # time for those whose own probe failed to declare it dead
            own += self._grace
        return max(own, self._not_before)

    def answered(self, now: float) -> None:
        """Restart the timeout: the suspect answered a probe, though it has not refuted yet."""
        self.probe_failed = False
        self._not_before = now + self._least

    def wait(self, until: float) -> None:
        """Postpone the deadline to ``until``, the end of a probe."""
        self._not_before = until

    def is_shortened_by(self, reporter: str) -> bool:
        """Whether one more reporter shortens the timeout, and so is to be rebroadcast."""
        return self.confirmations < self._needed and reporter not in self._reporters

    def confirm(self, reporter: str) -> None:
        """Add a reporter that shortens the timeout."""
        self._reporters.add(reporter)
