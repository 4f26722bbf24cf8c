"""Rate limits for reports of address conflicts (RFC 5227 section 2.4).

Short: conflicts are detected in the responder process; this is the speaker's part.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.rate_limit import Admitted, Rate, RateLimiter

REPORT_AGAIN: Final = 600.0
"""Seconds after which a conflict that continues is reported again."""
REMEMBERED: Final = 512
"""Number of conflicts that are remembered: more than the limits admit in REPORT_AGAIN seconds."""
OF_AN_ADDRESS: Final = Rate(burst=4, per_second=1 / 150)
"""Limit of reports about one address: one host can forge any number of MAC addresses."""
OF_ALL: Final = Rate(burst=100, per_second=1 / 5)
"""Limit of reports about all addresses together."""


class Conflicts:
    """Decides which conflicts are logged and recorded as Events. Times are monotonic seconds."""

    __slots__ = ("_limiter", "_reported")

    def __init__(self) -> None:
        self._reported: OrderedDict[tuple[IPAddress, str], float] = OrderedDict()
        self._limiter = RateLimiter(OF_AN_ADDRESS, OF_ALL)

    def report(self, address: IPAddress, mac: str, now: float) -> Admitted | None:
        """Decide whether to report a conflict now; None if not.

        A conflict that is admitted counts as reported. The result holds the number of conflicts
        about the address that the limit suppressed since the last report.
        """
        conflict = (address, mac)
        reported = self._reported.get(conflict)
        if reported is not None and now - reported < REPORT_AGAIN:
            return None
        admitted = self._limiter.admit(address, now)
        if admitted is not None:
            self._reported.pop(conflict, None)  # keeps the order: the oldest report first
            self._reported[conflict] = now
            if len(self._reported) > REMEMBERED:
                self._reported.popitem(last=False)
        return admitted
