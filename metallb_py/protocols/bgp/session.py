"""A BGP session without its socket: bytes and time in, effects out (RFC 4271 section 8).

Theory of operation. The driver opens connections and moves bytes; this module decides. Each input
method turns its input into an event of ``fsm``, looks up the step, performs its action and returns
the effects. Routes are not part of the state machine: they change at any time by ``change_routes``,
and ``flush`` turns a bounded number of changes into messages. So a slow peer delays only its own
messages, and a prefix that changes twice before it is sent is sent once.

Driver contract. Perform the returned effects in their order. Answer ``Connect`` with ``connected``
or ``connection_failed``, unless ``CloseTcp`` comes first. Call ``handle_timeout`` at
``next_deadline``, which may change with every call. Call ``flush`` while ``has_pending`` is true
and the connection accepts data; report with ``set_send_blocked`` when it does not.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from metallb_py.addresses import IPNetwork
from metallb_py.backoff import BGP_CONNECT
from metallb_py.errors import LocalProtocolError
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.protocols.bgp.cease import SHUTDOWN, ShutdownRequest, cease
from metallb_py.protocols.bgp.codec.codes import (
    BgpError,
    Cease,
    ErrorCode,
    OpenError,
    StateMachineError,
)
from metallb_py.protocols.bgp.codec.framing import Frame, FrameReader
from metallb_py.protocols.bgp.codec.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    Refresh,
    decode,
    encode,
)
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.effects import (
    CloseTcp,
    Connect,
    ConnectFailed,
    Effect,
    NotificationReceived,
    Send,
    SessionDown,
    SessionUp,
    UpdateReceived,
    UpdatesSent,
)
from metallb_py.protocols.bgp.fsm import Action, Event, State, step
from metallb_py.protocols.bgp.negotiation import NegotiatedSession, Settings, negotiate, our_open
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.rib.update_sender import NOTHING, UpdateSender

SETUP_TIME = 10.0
"""Seconds for TCP connect and the exchange of OPENs together, as in MetalLB.

A session that ends within the same time after it was established counts as another failed attempt,
so that a router that accepts the session only to reject our routes is not retried in a tight loop.
"""

SEND_HOLD_TIME = 480.0
"""Seconds for which a peer may accept no data from us; twice the hold time where that is longer
(RFC 9687 section 6)."""

Cause = Message | BgpError | ShutdownRequest | str | None
"""What caused an event: a message, the error in one, a request, or an error as text."""


@dataclass(frozen=True, slots=True)
class Transition:
    """An event with its cause, its time and the state in which it occurred."""

    event: Event
    state: State
    now: float
    cause: Cause


class Session:
    """One session with one peer. A passive one opens no connection: it waits for the peer's.

    ``rng`` returns a random number in [0, 1).
    """

    def __init__(self, settings: Settings, *, rng: Callable[[], float] = lambda: 0.0) -> None:
        self._settings = settings
        self._parameters = settings.parameters
        self._state = State.IDLE
        self._deadlines: dict[Event, float] = {}
        self._attempts = Attempts(settings.parameters.connect_time, rng)
        self._up_since = 0.0
        self._frames = FrameReader()
        self._local = LocalAddresses(IPv4Address(0))
        self._router_id = IPv4Address(0)
        self._terms: NegotiatedSession | None = None
        self._sender = UpdateSender(settings.parameters)
        self._actions = {
            Action.NOTHING: self._no_action,
            Action.DIAL: self._open_connection,
            Action.SEND_OPEN: self._send_open,
            Action.ACCEPT_OPEN: self._accept_open,
            Action.ESTABLISH: self._establish,
            Action.REFRESH_HOLD: self._refresh_hold,
            Action.HANDLE_UPDATE: self._handle_update,
            Action.RESEND_ROUTES: self._resend_routes,
            Action.SEND_KEEPALIVE: self._send_keepalive,
            Action.CLOSE: self._close,
            Action.NOTIFY_AND_CLOSE: self._notify_and_close,
            Action.CEASE: self._cease,
            Action.STOP: self._stop,
        }

    @property
    def state(self) -> State:
        """The current state."""
        return self._state

    @property
    def has_pending(self) -> bool:
        """Whether ``flush`` would send something."""
        return self._sender.has_pending

    @property
    def is_up(self) -> bool:
        """Whether the session is established, so that routes are advertised."""
        return self._state is State.ESTABLISHED

    @property
    def peer_retains_routes(self) -> bool:
        """Whether the peer retains our routes for a time after a loss of the connection.

        False until both OPENs are known (RFC 4724).
        """
        return self._terms is not None and self._terms.restart_time is not None

    # Inputs

    def start(self, now: float) -> tuple[Effect, ...]:
        """Start: open a connection, or if passive, wait for ``connected``."""
        return self._step(Event.START_PASSIVE if self._parameters.passive else Event.START, now)

    def stop(self, now: float, shutdown_request: ShutdownRequest = SHUTDOWN) -> tuple[Effect, ...]:
        """End the session without a retry. Messages are as in the request."""
        return self._step(Event.STOP, now, shutdown_request)

    def connected(
        self, local: LocalAddresses, router_id: IPv4Address, now: float
    ) -> tuple[Effect, ...]:
        """Use a new TCP connection. Routes are advertised with its local addresses as next hops."""
        self._local = local
        self._router_id = router_id
        return self._step(Event.CONNECTED, now)

    def connection_failed(self, error: str, now: float) -> tuple[Effect, ...]:
        """Handle a failure to open the connection, or its loss, as described by ``error``."""
        return self._step(Event.CONNECTION_FAILED, now, error)

    def set_send_blocked(self, now: float, *, is_blocked: bool) -> None:
        """Start the SendHoldTimer when the connection accepts no more data; stop it when it does.

        When it expires, the session ends (RFC 9687).
        """
        if not is_blocked:
            self._deadlines.pop(Event.SEND_HOLD_EXPIRED, None)
        elif self.is_up:
            hold_time = max(SEND_HOLD_TIME, 2 * self._agreed().hold_time)
            self._deadlines.setdefault(Event.SEND_HOLD_EXPIRED, now + hold_time)

    def bfd_down(self, reason: str, now: float) -> tuple[Effect, ...]:
        """End the session because its BFD session is down, before the hold time; retry later."""
        return self._step(
            Event.BFD_DOWN, now, BgpError(f"BFD down: {reason}", ErrorCode.CEASE, Cease.BFD_DOWN)
        )

    def expire_connect_retry(self, now: float) -> None:
        """Expire the retry timer at once, if it is running: the peer may be reachable again."""
        if Event.RETRY_DUE in self._deadlines:
            self._deadlines[Event.RETRY_DUE] = now

    @property
    def identities(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """BGP Identifier and AS number of both sides, ours first; None before the peer's OPEN.

        Where the identifiers are equal, the AS numbers decide which side is higher (RFC 6286).
        """
        if self._terms is None:
            return None
        terms, ours = self._terms, (int(self._router_id), self._parameters.local_asn)
        return ours, (int(terms.peer_router_id), terms.peer_asn)

    def adopt_connection(self, incoming: Session, now: float) -> tuple[Effect, ...]:
        """Close the connection and continue with that of ``incoming``, which is not established."""
        lost = BgpError(
            "peer opened another connection", ErrorCode.CEASE, Cease.CONNECTION_COLLISION_RESOLUTION
        )
        effects = self._step(Event.COLLISION_LOST, now, lost)
        self._state = incoming._state
        self._deadlines, self._frames = incoming._deadlines, incoming._frames
        self._local, self._router_id = incoming._local, incoming._router_id
        self._terms = incoming._terms
        # This is no failed attempt; the end of an established session is reported, though.
        return tuple(effect for effect in effects if not isinstance(effect, ConnectFailed))

    def receive(self, data: bytes, now: float, *, until_open: bool = False) -> tuple[Effect, ...]:
        """Handle received bytes; those after the end of the session are ignored.

        With ``until_open`` bytes that follow the peer's OPEN are left for the next call.
        """
        if self._state not in _CONNECTED_STATES:
            return ()
        self._frames.feed(data)
        effects: list[Effect] = []
        awaited = {State.OPEN_SENT} if until_open else _CONNECTED_STATES
        while self._state in awaited:
            try:
                frame = self._frames.next_frame()
                if frame is None:
                    break
                event, message = self._decode(frame)
            except BgpError as error:
                effects += self._step(Event.MALFORMED, now, error)
            else:
                effects += self._step(event, now, message)
        return tuple(effects)

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Act on every deadline that has passed."""
        effects: list[Effect] = []
        while due := [event for event, at in self._deadlines.items() if at <= now]:
            event = min(due, key=self._deadlines.__getitem__)
            del self._deadlines[event]
            effects += self._step(event, now)
        return tuple(effects)

    def next_deadline(self) -> float | None:
        """Return the time at which to call ``handle_timeout``, or None."""
        return min(self._deadlines.values(), default=None)

    def change_routes(
        self,
        wanted: Mapping[IPNetwork, RouteAttributes],
        unwanted: Iterable[IPNetwork] = (),
        *,
        complete: bool = False,
    ) -> tuple[Effect, ...]:
        """Add or replace the ``wanted`` routes, remove the ``unwanted``; ``flush`` sends them.

        ``complete``: these complete the initial set of routes. End-of-RIB is sent after the last of
        them (RFC 4724 section 4.1).
        """
        self._sender.change(wanted, unwanted, complete=complete)
        return (self._sender.counts,)

    def drain(self) -> None:
        """Re-advertise every route with GRACEFUL_SHUTDOWN (RFC 8326); ``flush`` sends them."""
        self._sender.drain()

    def flush(self, now: float) -> tuple[Effect, ...]:
        """Send pending changes of routes, a bounded number per call."""
        flush = self._sender.flush()
        if flush is None:
            return ()
        self._restart_keepalive(now)  # as each sent UPDATE does (RFC 4271 section 8.2.2)
        return (Send(flush.data), UpdatesSent(flush.count), self._sender.counts)

    # Events and actions

    def _decode(self, frame: Frame) -> tuple[Event, Message]:
        """Decode a message; negotiate where it is the expected OPEN. Raises BgpError."""
        message = decode(frame, four_octet=self._terms is None or self._terms.four_octet)
        if isinstance(message, Open) and self._state is State.OPEN_SENT:
            self._terms = negotiate(self._parameters, self._our_open(), message)
            self._frames.max_length = self._terms.max_length
        return _EVENTS[type(message)], message

    def _step(self, event: Event, now: float, cause: Cause = None) -> tuple[Effect, ...]:
        outcome = step(self._state, event)
        transition = Transition(event, self._state, now, cause)
        self._state = outcome.next_state
        return self._actions[outcome.action](transition)

    def _no_action(self, _: Transition) -> tuple[Effect, ...]:
        return ()

    def _open_connection(self, transition: Transition) -> tuple[Effect, ...]:
        self._deadlines = {Event.SETUP_EXPIRED: transition.now + SETUP_TIME}
        return (Connect(),)

    def _send_open(self, transition: Transition) -> tuple[Effect, ...]:
        self._deadlines.pop(Event.RETRY_DUE, None)
        self._deadlines.setdefault(Event.SETUP_EXPIRED, transition.now + SETUP_TIME)
        return (Send(encode(self._our_open())),)

    def _our_open(self) -> Open:
        over_ipv6 = self._local.own.version == 6
        return our_open(
            self._settings,
            self._router_id,
            restarting=self._sender.restarting,
            forwarding=self._settings.keeps_forwarding,
            ipv4_over_ipv6=over_ipv6,
            omit_capabilities=self._attempts.omit_capabilities,
        )

    def _accept_open(self, transition: Transition) -> tuple[Effect, ...]:
        self._restart_hold(transition.now)
        return self._send_keepalive(transition)

    def _establish(self, transition: Transition) -> tuple[Effect, ...]:
        terms = self._agreed()
        del self._deadlines[Event.SETUP_EXPIRED]
        self._restart_hold(transition.now)
        self._up_since = transition.now
        self._sender.open(terms, self._local)
        return (SessionUp(terms), self._sender.counts)

    def _refresh_hold(self, transition: Transition) -> tuple[Effect, ...]:
        self._restart_hold(transition.now)
        return ()

    def _handle_update(self, transition: Transition) -> tuple[Effect, ...]:
        self._restart_hold(transition.now)
        return (UpdateReceived(transition.cause),) if isinstance(transition.cause, Update) else ()

    def _resend_routes(self, transition: Transition) -> tuple[Effect, ...]:
        self._restart_hold(transition.now)
        request = transition.cause
        if isinstance(request, Refresh) and request.requested is not None:
            self._sender.resend(request.requested)
        return ()

    def _send_keepalive(self, transition: Transition) -> tuple[Effect, ...]:
        self._restart_keepalive(transition.now)
        return (Send(encode(Keepalive())),)

    def _close(self, transition: Transition) -> tuple[Effect, ...]:
        reason = close_reason(transition)
        if isinstance(transition.cause, Notification) and transition.state is State.ESTABLISHED:
            return (NotificationReceived(reason), *self._end(transition, reason))
        return self._end(transition, reason)

    def _notify_and_close(self, transition: Transition) -> tuple[Effect, ...]:
        error = notification_error(transition)
        notification = Notification(error.code, error.subcode, error.data)
        if transition.event is Event.BFD_DOWN:
            # The path is down, so the peer must not retain the routes, whatever was negotiated.
            notification = cease(Cease.BFD_DOWN, hard=self._resets_hard)
        return (Send(encode(notification)), *self._end(transition, str(error)))

    def _cease(self, transition: Transition) -> tuple[Effect, ...]:
        shutdown_request = (
            transition.cause if isinstance(transition.cause, ShutdownRequest) else SHUTDOWN
        )
        if (
            shutdown_request.graceful_restart
            and self.peer_retains_routes
            and transition.state is State.ESTABLISHED
        ):
            return self._stop(transition)
        withdrawals = self._sender.withdraw_all() if shutdown_request.withdraw_routes else NOTHING
        notification = cease(
            shutdown_request.subcode, shutdown_request.text, hard=self._resets_hard
        )
        count = (UpdatesSent(withdrawals.count),) if withdrawals.count else ()
        return (Send(withdrawals.data + encode(notification)), *count, *self._stop(transition))

    def _stop(self, transition: Transition) -> tuple[Effect, ...]:
        self._reset_connection()
        return () if transition.state in (State.IDLE, State.ACTIVE) else (CloseTcp(),)

    def _end(self, transition: Transition, reason: str) -> tuple[Effect, ...]:
        """Close the connection, report it, and schedule the next attempt."""
        self._reset_connection()
        was_up = transition.state is State.ESTABLISHED
        lasted = was_up and transition.now - self._up_since >= SETUP_TIME
        if transition.event is not Event.COLLISION_LOST:
            delay = self._attempts.failed(transition.cause, lasted=lasted)
            if not self._parameters.passive:
                self._deadlines[Event.RETRY_DUE] = transition.now + delay
        if was_up:
            return (CloseTcp(), SessionDown(reason), self._sender.counts)
        return (CloseTcp(), ConnectFailed(reason))

    def _reset_connection(self) -> None:
        self._deadlines.clear()
        self._frames = FrameReader()
        self._terms = None
        self._sender.close()

    @property
    def _resets_hard(self) -> bool:
        """Whether the peer deletes our routes only after a Hard Reset (RFC 8538)."""
        return self._terms is not None and self._terms.routes_survive_notifications

    def _agreed(self) -> NegotiatedSession:
        if self._terms is None:
            raise LocalProtocolError("no session is negotiated before the peer's OPEN")
        return self._terms

    def _restart_hold(self, now: float) -> None:
        if hold_time := self._agreed().hold_time:
            self._deadlines[Event.HOLD_EXPIRED] = now + hold_time

    def _restart_keepalive(self, now: float) -> None:
        if keepalive_time := self._agreed().keepalive_time:
            self._deadlines[Event.KEEPALIVE_DUE] = now + keepalive_time


_EVENTS: dict[type[Message], Event] = {
    Open: Event.OPEN,
    Keepalive: Event.KEEPALIVE,
    Update: Event.UPDATE,
    Notification: Event.NOTIFICATION,
    Refresh: Event.ROUTE_REFRESH,
}

_CONNECTED_STATES = frozenset({State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED})


class Attempts:
    """Delay and form of the next connection attempt, from the failures of earlier ones.

    ``connect_time`` is the number of seconds between attempts; None selects MetalLB's delays, of
    which the first is zero, also after an established session that lasted. A peer whose sessions
    repeatedly end at once is retried ever less often (DampPeerOscillations of RFC 4271 section
    8.1.1). ``rng`` returns a random number in [0, 1).
    """

    __slots__ = ("_connect_time", "_failures", "_rng", "omit_capabilities")

    def __init__(self, connect_time: int | None, rng: Callable[[], float] = lambda: 0.0) -> None:
        self._connect_time = connect_time
        self._rng = rng
        self._failures = 0
        self.omit_capabilities = False
        """Whether the next OPEN has no capabilities but the indispensable ones: a router without
        support for capabilities may reject an OPEN that has some (RFC 5492 section 3)."""

    def failed(self, cause: object, *, lasted: bool) -> float:
        """Record the end of an attempt; return the seconds until the next one.

        ``lasted``: the attempt led to an established session that lasted. ``cause``: the peer's
        NOTIFICATION where that ended the attempt, else anything.
        """
        self._failures = 0 if lasted else self._failures + 1
        self.omit_capabilities = not self.omit_capabilities and _capabilities_rejected(cause)
        if self._connect_time is not None:
            return float(self._connect_time)
        return BGP_CONNECT.delay(self._failures - 1, self._rng())


_CAPABILITY_ERRORS = frozenset({OpenError.UNSUPPORTED_PARAMETER, OpenError.UNSUPPORTED_CAPABILITY})


def _capabilities_rejected(cause: object) -> bool:
    return (
        isinstance(cause, Notification)
        and cause.code == ErrorCode.OPEN_MESSAGE
        and cause.subcode in _CAPABILITY_ERRORS
    )


_UNEXPECTED_MESSAGE = {
    State.OPEN_SENT: StateMachineError.IN_OPEN_SENT,
    State.OPEN_CONFIRM: StateMachineError.IN_OPEN_CONFIRM,
    State.ESTABLISHED: StateMachineError.IN_ESTABLISHED,
}


def close_reason(transition: Transition) -> str:
    """Return the reason for a connection that ends without a NOTIFICATION from us."""
    match transition.cause:
        case Notification():
            return f"got {transition.cause}"
        case str():
            return transition.cause
        case _:
            return f"no connection within {SETUP_TIME:g} s"


def notification_error(transition: Transition) -> BgpError:
    """Return the error for the NOTIFICATION that answers the event."""
    if isinstance(transition.cause, BgpError):
        return transition.cause
    if transition.event is Event.SETUP_EXPIRED:
        return BgpError(f"no session within {SETUP_TIME:g} s", ErrorCode.HOLD_TIMER_EXPIRED)
    if transition.event is Event.HOLD_EXPIRED:
        return BgpError("hold timer expired: no message from peer", ErrorCode.HOLD_TIMER_EXPIRED)
    if transition.event is Event.SEND_HOLD_EXPIRED:
        return BgpError(
            "send hold timer expired: peer accepts no data", ErrorCode.SEND_HOLD_TIMER_EXPIRED
        )
    return BgpError(
        f"unexpected {transition.event.name} message in state {transition.state.name}",
        ErrorCode.FINITE_STATE_MACHINE,
        _UNEXPECTED_MESSAGE[transition.state],
    )
