"""Rate limits of connections and work by source. Short: the machine and its codec share them.

Without a secret, whatever reaches the port is read, decompressed and decoded; with one, it is
received and held until it proves not to be encrypted. Work is counted in bytes: those received,
those that they were decompressed to, ``BASE_WORK`` for every datagram or stream, and
``WORK_PER_STATE`` for every member in a push-pull. A push-pull of 5,000 members counts about 1.2
million.

Known sources are not limited in their work: the source address of a datagram can be forged, and a
limit would let an unknown host silence a speaker.
"""

from __future__ import annotations

from typing import Final

from metallb_py.addresses import IPAddress
from metallb_py.rate_limit import Rate, RateLimiter

BASE_WORK: Final = 256
"""Work of a datagram or a stream besides its bytes."""
WORK_PER_STATE: Final = 128
"""Work of a member in a push-pull besides its bytes: to create its record, and to look it up."""
WORK_OF_A_SOURCE: Final = Rate(burst=2 << 20, per_second=256 << 10)
WORK: Final = Rate(burst=4 << 20, per_second=512 << 10)
CONNECTIONS_OF_A_SOURCE: Final = Rate(burst=20, per_second=5)
CONNECTIONS: Final = Rate(burst=1000, per_second=200)
CONNECTIONS_OF_A_SPEAKER: Final = Rate(burst=50, per_second=20)
CONNECTIONS_OF_SPEAKERS: Final = Rate(burst=10_000, per_second=1000)


class SourceLimits:
    """Rate limits by source. Times are monotonic seconds; ``known``: it is a speaker's address."""

    __slots__ = ("_connections", "_speakers", "_work")

    def __init__(self) -> None:
        self._work = RateLimiter(WORK_OF_A_SOURCE, WORK)
        self._connections = RateLimiter(CONNECTIONS_OF_A_SOURCE, CONNECTIONS)
        self._speakers = RateLimiter(CONNECTIONS_OF_A_SPEAKER, CONNECTIONS_OF_SPEAKERS)

    def admit_stream(self, source: IPAddress, now: float, *, known: bool) -> bool:
        """Whether to accept one more stream of a source."""
        if known:
            return self._speakers.admit(source, now) is not None
        return self._connections.admit(source, now) is not None and self.admit_bytes(
            source, BASE_WORK, now, known=False
        )

    def admit_bytes(self, source: IPAddress, length: int, now: float, *, known: bool) -> bool:
        """Whether to process ``length`` bytes of a source: a datagram, or a part of a stream."""
        return known or self._work.admit(source, now, length) is not None

    def charge(self, source: IPAddress, work: int, now: float, *, known: bool) -> None:
        """Charge a source for more work, found while its bytes were processed."""
        if not known:
            self._work.charge(source, now, work)
