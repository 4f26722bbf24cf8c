"""When to try a session anew, and how: what the earlier attempts taught."""

from __future__ import annotations

from collections.abc import Callable

from metallb_py.backoff import BGP_CONNECT
from metallb_py.protocols.bgp.codec.codes import ErrorCode, OpenError
from metallb_py.protocols.bgp.codec.messages import Notification

_REFUSED_CAPABILITIES = frozenset(
    {OpenError.UNSUPPORTED_PARAMETER, OpenError.UNSUPPORTED_CAPABILITY}
)


class Attempts:
    """Counts failures. ``connect_time``: seconds between attempts; None: MetalLB's delays.

    Of these the first is none, also after a session that lasted. A peer whose sessions end at
    once, again and again, is retried ever less often (DampPeerOscillations of RFC 4271 section
    8.1.1). ``chance`` draws from 0 up to, but not including, 1.
    """

    __slots__ = ("_chance", "_connect_time", "_failures", "bare")

    def __init__(self, connect_time: int | None, chance: Callable[[], float] = lambda: 0.0) -> None:
        self._connect_time = connect_time
        self._chance = chance
        self._failures = 0
        self.bare = False
        """Whether to offer nothing but what must be: routers that know no capabilities may refuse
        an OPEN with some, rather than ignore them (RFC 5492 section 3)."""

    def failed(self, cause: object, *, lasted: bool) -> float:
        """Note the end of an attempt; return the seconds until the next one.

        ``lasted``: it had become a session that lived. ``cause``: what the peer said, if that
        was the end.
        """
        self._failures = 0 if lasted else self._failures + 1
        self.bare = not self.bare and _refused_capabilities(cause)
        if self._connect_time is not None:
            return float(self._connect_time)
        return BGP_CONNECT.delay(self._failures - 1, self._chance())


def _refused_capabilities(cause: object) -> bool:
    return (
        isinstance(cause, Notification)
        and cause.code == ErrorCode.OPEN_MESSAGE
        and cause.subcode in _REFUSED_CAPABILITIES
    )
