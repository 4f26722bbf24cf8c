"""All connections with one peer, with collision detection (RFC 4271 section 6.8).

Theory of operation. Where both sides open a connection, two connections result, and both sides have
to keep the same one. The session is one finite state machine; a connection that the peer opens
while the session has one of its own, or is opening it, gets a second machine: the incoming
connection. That one proceeds until the peer's identifier is known, which is when one of the two
machines is in OpenConfirm. Then the connection is kept that the side with the higher identifier has
opened. If that is the incoming connection, the session adopts it: routes, and the events that are
reported to the operator, remain the session's. A connection that the peer opens while the session
has none becomes the session's at once.

Driver contract. Create a ``Connections`` per peer and call ``session.start`` once. Report what
happens to the connections, and stop, by the methods of ``Connections``; change routes and send them
(``flush``) by those of ``session``. Perform the returned effects in their order: an ``OnIncoming``
on the incoming connection, any other on the session's own. Call ``handle_timeout`` at
``next_deadline``, which may change with every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from metallb_py.protocols.bgp.cease import SHUTDOWN, ShutdownRequest, cease
from metallb_py.protocols.bgp.codec.codes import Cease
from metallb_py.protocols.bgp.codec.messages import encode
from metallb_py.protocols.bgp.effects import CloseTcp, ConnectFailed, Effect, Send
from metallb_py.protocols.bgp.fsm import State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.session import Session


@dataclass(frozen=True, slots=True)
class OnIncoming:
    """Perform the effect on the incoming connection."""

    effect: Send | CloseTcp


@dataclass(frozen=True, slots=True)
class SwitchConnection:
    """The incoming connection is the session's own from now on; the former own one was closed."""


@dataclass(frozen=True, slots=True)
class RejectConnection:
    """Write ``data``, a Cease, to the connection that was just accepted, then close it."""

    data: bytes


CollisionEffect = Effect | OnIncoming | SwitchConnection | RejectConnection

_WITHOUT_CONNECTION = frozenset({State.IDLE, State.ACTIVE})
_LOST = ShutdownRequest(Cease.CONNECTION_COLLISION_RESOLUTION)


class Connections:
    """All connections with one peer: the session's own and an incoming one.

    ``rng`` returns a random number in [0, 1).
    """

    def __init__(self, settings: Settings, *, rng: Callable[[], float] = lambda: 0.0) -> None:
        self.session = Session(settings, rng=rng)
        # The incoming connection's machine opens none itself.
        passive = replace(settings.parameters, passive=True)
        self._incoming_settings = replace(settings, parameters=passive)
        self._incoming: Session | None = None

    # Events of the session's own connection.

    def connected(
        self, local: LocalAddresses, router_id: IPv4Address, now: float
    ) -> tuple[CollisionEffect, ...]:
        """Use the connection that the session requested with ``Connect``."""
        return self._resolve_collision(now, self.session.connected(local, router_id, now))

    def connection_failed(self, error: str, now: float) -> tuple[CollisionEffect, ...]:
        """Handle a failure to open the session's connection, or its loss."""
        return self._resolve_collision(now, self.session.connection_failed(error, now))

    def receive(self, data: bytes, now: float) -> tuple[CollisionEffect, ...]:
        """Handle bytes received on the session's connection."""
        effects = self.session.receive(data, now, until_open=self._incoming is not None)
        return self._process_after_open(self._resolve_collision(now, effects), now)

    # Events of connections that the peer opened.

    def accepted(
        self, local: LocalAddresses, router_id: IPv4Address, now: float
    ) -> tuple[CollisionEffect, ...]:
        """Handle a connection that the peer has opened.

        An established session rejects it, unless graceful restart was negotiated: then the peer may
        have restarted without the loss of the old connection being detected (RFC 4724 section 4.2).
        A second incoming connection is rejected, too.
        """
        if self._incoming is None and self.session.state in _WITHOUT_CONNECTION:
            return self.session.connected(local, router_id, now)
        if self._incoming is not None or (
            self.session.is_up and not self.session.peer_retains_routes
        ):
            return (RejectConnection(encode(cease(_LOST.subcode, hard=False))),)
        self._incoming = Session(self._incoming_settings)
        self._incoming.start(now)
        effects = self._incoming.connected(local, router_id, now)
        return self._resolve_collision(now, incoming_effects=effects)

    def receive_on_incoming(self, data: bytes, now: float) -> tuple[CollisionEffect, ...]:
        """Handle bytes received on the incoming connection."""
        if self._incoming is None:
            return ()
        effects = self._incoming.receive(data, now, until_open=True)
        return self._process_after_open(self._resolve_collision(now, incoming_effects=effects), now)

    def incoming_failed(self, error: str, now: float) -> tuple[CollisionEffect, ...]:
        """Handle the loss of the incoming connection."""
        if self._incoming is None:
            return ()
        effects = self._incoming.connection_failed(error, now)
        return self._resolve_collision(now, incoming_effects=effects)

    # Timers and shutdown.

    def handle_timeout(self, now: float) -> tuple[CollisionEffect, ...]:
        """Act on every deadline that has passed."""
        if self._incoming is None:
            return self.session.handle_timeout(now)
        suspended = self.session.state is State.IDLE
        own = () if suspended else self.session.handle_timeout(now)
        effects = self._incoming.handle_timeout(now)
        return self._resolve_collision(now, own, incoming_effects=effects)

    def next_deadline(self) -> float | None:
        """Return the time at which to call ``handle_timeout``, or None.

        A session that has failed opens no new connection while it may adopt the incoming one.
        """
        incoming = self._incoming.next_deadline() if self._incoming is not None else None
        if self._incoming is not None and self.session.state is State.IDLE:
            return incoming
        deadlines = (incoming, self.session.next_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def stop(
        self, now: float, shutdown_request: ShutdownRequest = SHUTDOWN
    ) -> tuple[CollisionEffect, ...]:
        """End the session and all connections; open no more. Messages are as in the request."""
        effects: tuple[CollisionEffect, ...] = ()
        if self._incoming is not None:
            effects = _on_incoming(self._incoming.stop(now, shutdown_request))
            self._incoming = None
        return (*effects, *self.session.stop(now, shutdown_request))

    def _process_after_open(
        self, effects: tuple[CollisionEffect, ...], now: float
    ) -> tuple[CollisionEffect, ...]:
        """Process bytes that followed the peer's OPEN, once a collision is resolved."""
        return (
            effects if self._incoming is not None else (*effects, *self.session.receive(b"", now))
        )

    def _resolve_collision(
        self, now: float, own: tuple[Effect, ...] = (), *, incoming_effects: tuple[Effect, ...] = ()
    ) -> tuple[CollisionEffect, ...]:
        """Return the effects of both connections, after closing one if the collision is decided."""
        incoming = self._incoming
        if incoming is None:
            return own
        if incoming.state is State.IDLE:  # it failed by itself
            self._incoming = None
            return (*_on_incoming(incoming_effects), *own)
        # No failed attempt is reported while the incoming connection may still succeed.
        own = tuple(effect for effect in own if not isinstance(effect, ConnectFailed))
        if State.OPEN_CONFIRM not in (incoming.state, self.session.state):
            return (*_on_incoming(incoming_effects), *own)
        # No KEEPALIVE goes out on the losing connection: the peer could take it as established.
        self._incoming = None
        if self._incoming_wins(incoming):
            own = tuple(effect for effect in own if not isinstance(effect, Send))
            return (
                *_on_incoming(incoming_effects),
                *own,
                *self.session.adopt_connection(incoming, now),
                SwitchConnection(),
            )
        return (*own, *_on_incoming(incoming.stop(now, _LOST)))

    def _incoming_wins(self, incoming: Session) -> bool:
        if self.session.state in (State.OPEN_SENT, State.OPEN_CONFIRM):
            ours, theirs = incoming.identities or self.session.identities or ((0, 0), (0, 0))
            return ours < theirs
        return True


def _on_incoming(effects: Iterable[Effect]) -> tuple[OnIncoming, ...]:
    """Return the effects on the connection itself; no events of an incoming one are reported."""
    return tuple(OnIncoming(e) for e in effects if isinstance(e, Send | CloseTcp))
