"""A session and, for a while, a second connection with the same peer (RFC 4271 section 6.8).

Theory of operation. Where both sides dial, two connections come to be, and both sides have to
keep the same one. The session is one finite state machine; a connection that came in while it
has one of its own, or is about to, gets another, the rival. It talks until the peer's identifier
is known, which is when one of the two is in OpenConfirm. Then the connection stays that the side
with the higher identifier has dialled. If that is the rival's, the session takes its place: its
routes, and what the operator hears of it, are the session's. A connection that comes in while
the session has none becomes the session's at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from metallb_py.protocols.bgp.cease import SHUTDOWN, Farewell, cease
from metallb_py.protocols.bgp.codec.codes import Cease
from metallb_py.protocols.bgp.codec.messages import encode
from metallb_py.protocols.bgp.effects import CloseTcp, ConnectFailed, Effect, Send
from metallb_py.protocols.bgp.fsm import State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses
from metallb_py.protocols.bgp.session import Session


@dataclass(frozen=True, slots=True)
class OnRival:
    """This is to happen on the rival's connection."""

    effect: Send | CloseTcp


@dataclass(frozen=True, slots=True)
class Promote:
    """The rival's connection is the session's from now on; the session's own was closed."""


@dataclass(frozen=True, slots=True)
class Decline:
    """Close the connection that just came in, with these last words."""

    data: bytes


CollisionEffect = Effect | OnRival | Promote | Decline

_WITHOUT_CONNECTION = frozenset({State.IDLE, State.ACTIVE})
_LOST = Farewell(Cease.CONNECTION_COLLISION_RESOLUTION)


class Connections:
    """All connections with one peer: the session's, and a rival's.

    ``chance`` draws from 0 up to, but not including, 1.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        passive: bool = False,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.session = Session(settings, passive=passive, chance=chance)
        self._settings = settings
        self._rival: Session | None = None

    # What happens to the session's own connection.

    def connected(
        self, local: LocalAddresses, router_id: IPv4Address, now: float
    ) -> tuple[CollisionEffect, ...]:
        """The connection that the session asked for stands."""
        return self._settled(now, self.session.connected(local, router_id, now))

    def connection_failed(self, error: str, now: float) -> tuple[CollisionEffect, ...]:
        """The session's connection could not be opened, or is lost."""
        return self._settled(now, self.session.connection_failed(error, now))

    def receive(self, data: bytes, now: float) -> tuple[CollisionEffect, ...]:
        """Bytes came in on the session's connection."""
        effects = self.session.receive(data, now, only_introduce=self._rival is not None)
        return self._introduced(self._settled(now, effects), now)

    # What happens to a connection that came in.

    def accepted(
        self, local: LocalAddresses, router_id: IPv4Address, now: float
    ) -> tuple[CollisionEffect, ...]:
        """The peer has opened a connection to us.

        One is enough for an established session, unless the peer would keep our routes if it
        fell: then the peer may have restarted without our noticing (RFC 4724 section 4.2).
        """
        if self._rival is None and self.session.state in _WITHOUT_CONNECTION:
            return self.session.connected(local, router_id, now)
        if self._rival is not None or (self.session.is_up and not self.session.peer_keeps_routes):
            return (Decline(encode(cease(_LOST.why, hard=False))),)
        self._rival = Session(self._settings, passive=True)
        self._rival.start(now)
        effects = self._rival.connected(local, router_id, now)
        return self._settled(now, rivals=effects)

    def receive_rival(self, data: bytes, now: float) -> tuple[CollisionEffect, ...]:
        """Bytes came in on the rival's connection."""
        if self._rival is None:
            return ()
        effects = self._rival.receive(data, now, only_introduce=True)
        return self._introduced(self._settled(now, rivals=effects), now)

    def rival_failed(self, error: str, now: float) -> tuple[CollisionEffect, ...]:
        """The rival's connection is lost."""
        if self._rival is None:
            return ()
        return self._settled(now, rivals=self._rival.connection_failed(error, now))

    # Time, and the end.

    def handle_timeout(self, now: float) -> tuple[CollisionEffect, ...]:
        """Act on every deadline that has passed."""
        if self._rival is None:
            return self.session.handle_timeout(now)
        waits = self.session.state is State.IDLE
        own = () if waits else self.session.handle_timeout(now)
        return self._settled(now, own, rivals=self._rival.handle_timeout(now))

    def next_deadline(self) -> float | None:
        """When ``handle_timeout`` wants to be called, if ever.

        A session that fell does not dial anew while the rival may take its place.
        """
        rival = self._rival.next_deadline() if self._rival is not None else None
        if self._rival is not None and self.session.state is State.IDLE:
            return rival
        deadlines = (rival, self.session.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def stop(self, now: float, farewell: Farewell = SHUTDOWN) -> tuple[CollisionEffect, ...]:
        """End for good, with these words if there is a peer to hear them."""
        effects: tuple[CollisionEffect, ...] = ()
        if self._rival is not None:
            effects = _on_rival(self._rival.stop(now, farewell))
            self._rival = None
        return (*effects, *self.session.stop(now, farewell))

    def _introduced(
        self, effects: tuple[CollisionEffect, ...], now: float
    ) -> tuple[CollisionEffect, ...]:
        """Go on with what followed the peer's OPEN, once it is known where that belongs."""
        return effects if self._rival is not None else (*effects, *self.session.receive(b"", now))

    def _settled(
        self, now: float, own: tuple[Effect, ...] = (), *, rivals: tuple[Effect, ...] = ()
    ) -> tuple[CollisionEffect, ...]:
        """Return what is to be done after all this happened to the session and to its rival."""
        rival = self._rival
        if rival is None:
            return own
        if rival.state is State.IDLE:  # it failed by itself
            self._rival = None
            return (*_on_rival(rivals), *own)
        # While the rival may still do better, a failure of the session is none.
        own = tuple(effect for effect in own if not isinstance(effect, ConnectFailed))
        if State.OPEN_CONFIRM not in (rival.state, self.session.state):
            return (*_on_rival(rivals), *own)
        # The loser's OPEN gets no KEEPALIVE: its peer could take that for the start of a session.
        self._rival = None
        if self._rival_wins(rival):
            own = tuple(effect for effect in own if not isinstance(effect, Send))
            return (*_on_rival(rivals), *own, *self.session.give_way(rival, now), Promote())
        return (*own, *_on_rival(rival.stop(now, _LOST)))

    def _rival_wins(self, rival: Session) -> bool:
        if self.session.state in (State.OPEN_SENT, State.OPEN_CONFIRM):
            ours, theirs = rival.identities or self.session.identities or ((0, 0), (0, 0))
            return ours < theirs
        return True


def _on_rival(effects: Iterable[Effect]) -> tuple[OnRival, ...]:
    """Take what concerns its connection; nobody is told what becomes of a rival."""
    return tuple(OnRival(e) for e in effects if isinstance(e, Send | CloseTcp))
