"""What a source may cost: connections and work, those that are no speakers' within tight limits.

Without a secret whatever reaches the port is read, expanded and decoded; with one, it is received
and held until it proves to be unsealed. Work is counted in bytes: those that arrived, those that
they were expanded to, ``EACH`` for every datagram or stream, and ``A_STATE`` for every member in a
push-pull. A push-pull of 5,000 members is about 1.2 million.

Known sources are not limited in their work: the source address of a datagram can be forged, and a
limit would let a stranger silence a speaker.
"""

from __future__ import annotations

from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.rate_limit import Rate, RateLimiter

EACH: Final = 256
"""What a datagram or a stream costs besides its bytes."""
A_STATE: Final = 128
"""What a member costs besides its bytes: to make its record, and to look it up."""
WORK_OF_A_SOURCE: Final = Rate(burst=2 << 20, per_second=256 << 10)
WORK: Final = Rate(burst=4 << 20, per_second=512 << 10)
CONNECTIONS_OF_A_SOURCE: Final = Rate(burst=20, per_second=5)
CONNECTIONS: Final = Rate(burst=1000, per_second=200)
CONNECTIONS_OF_A_SPEAKER: Final = Rate(burst=50, per_second=20)
CONNECTIONS_OF_SPEAKERS: Final = Rate(burst=10_000, per_second=1000)


class Strangers:
    """Times are monotonic seconds. ``known``: whether the source is a speaker's address."""

    __slots__ = ("_connections", "_speakers", "_work")

    def __init__(self) -> None:
        self._work = RateLimiter(WORK_OF_A_SOURCE, WORK)
        self._connections = RateLimiter(CONNECTIONS_OF_A_SOURCE, CONNECTIONS)
        self._speakers = RateLimiter(CONNECTIONS_OF_A_SPEAKER, CONNECTIONS_OF_SPEAKERS)

    def connects(self, source: IPAddress, now: float, *, known: bool) -> bool:
        """Whether a source may open one more stream."""
        if known:
            return self._speakers.admit(source, now) is not None
        return self._connections.admit(source, now) is not None and self.sends(
            source, EACH, now, known=False
        )

    def sends(self, source: IPAddress, length: int, now: float, *, known: bool) -> bool:
        """Whether a datagram of so many bytes, or more of a stream, is to be read at all."""
        return known or self._work.admit(source, now, length) is not None

    def cost(self, source: IPAddress, work: int, now: float, *, known: bool) -> None:
        """Something that was admitted turned out to be this much more work."""
        if not known:
            self._work.charge(source, now, work)
