"""Hosts that say that one of our addresses is theirs: who they are, and when to report them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.rate_limit import Admitted, Rate, RateLimiter

REPORT_AGAIN: Final = 600.0
"""Seconds after which a conflict that lasts is reported again."""
REMEMBERED: Final = 512
"""Conflicts; more than the limits admit within that time."""
OF_AN_ADDRESS: Final = Rate(burst=4, per_second=1 / 150)
"""Reports about one address: MAC addresses are easily invented."""
OF_ALL: Final = Rate(burst=100, per_second=1 / 5)


class Conflicts:
    """Decides what is reported, in a log line and an Event. Times are monotonic seconds."""

    __slots__ = ("_limiter", "_reported")

    def __init__(self) -> None:
        self._reported: OrderedDict[tuple[IPAddress, str], float] = OrderedDict()
        self._limiter = RateLimiter(OF_AN_ADDRESS, OF_ALL)

    def report(self, address: IPAddress, mac: str, now: float) -> Admitted | None:
        """Return whether a claim is to be reported now; if so, it counts as reported.

        With it goes how many other hosts' claims to the address were not, for their number.
        """
        conflict = (address, mac)
        reported = self._reported.get(conflict)
        if reported is not None and now - reported < REPORT_AGAIN:
            return None
        admitted = self._limiter.admit(address, now)
        if admitted is not None:
            self._reported.pop(conflict, None)  # the last one is the latest
            self._reported[conflict] = now
            if len(self._reported) > REMEMBERED:
                self._reported.popitem(last=False)
        return admitted
