"""A BGP session without its socket: bytes and time in, effects out.

Theory of operation. The driver opens connections, moves bytes, and asks ``next_deadline`` when to
come back; this module decides. Each verb turns what happened into an event of ``fsm``, looks up
the step, performs its action and returns the effects, in order, for the driver to perform. Routes
are not part of the machine: they change at any time through ``change_routes``, and ``flush``
turns a bounded number of changes into messages whenever the driver has room to send. So a slow
peer holds back its own messages and nothing else, and what changes twice before it is sent is
sent once.

Times are seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address

from metallb_py.addresses import IPNetwork
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.attempts import Attempts
from metallb_py.protocols.bgp.cease import SHUTDOWN, Farewell, cease
from metallb_py.protocols.bgp.codec.codes import (
    BgpError,
    Cease,
    ErrorCode,
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
from metallb_py.protocols.bgp.moment import (
    SEND_HOLD_TIME,
    SETUP_TIME,
    Cause,
    Moment,
    complaint_about,
    reason_of,
)
from metallb_py.protocols.bgp.negotiation import Settings, Terms, negotiate, our_open
from metallb_py.protocols.bgp.rib.adj_rib_out import RouteAttributes
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses
from metallb_py.protocols.bgp.rib.update_sender import NOTHING, Outbound


class Session:
    """One session with one peer. A passive one never dials: it waits for connections.

    ``chance`` draws from 0 up to, but not including, 1.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        passive: bool = False,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._settings = settings
        self._passive = passive
        self._state = State.IDLE
        self._deadlines: dict[Event, float] = {}
        self._attempts = Attempts(settings.connect_time, chance)
        self._up_since = 0.0
        self._frames = FrameReader()
        self._local = LocalAddresses(IPv4Address(0))
        self._router_id = IPv4Address(0)
        self._terms: Terms | None = None
        self._outbound = Outbound(settings)
        self._actions = {
            Action.NOTHING: self._nothing,
            Action.DIAL: self._dial,
            Action.SEND_OPEN: self._send_open,
            Action.ACCEPT_OPEN: self._accept_open,
            Action.ESTABLISH: self._establish,
            Action.REFRESH_HOLD: self._refresh_hold,
            Action.TAKE_UPDATE: self._take_update,
            Action.RESEND_ROUTES: self._resend_routes,
            Action.SEND_KEEPALIVE: self._send_keepalive,
            Action.HANG_UP: self._hang_up,
            Action.REFUSE: self._refuse,
            Action.CEASE: self._cease,
            Action.RETIRE: self._retire,
        }

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def has_news(self) -> bool:
        """Whether ``flush`` would send something."""
        return self._outbound.has_news

    @property
    def is_up(self) -> bool:
        """Whether routes may flow."""
        return self._state is State.ESTABLISHED

    @property
    def peer_keeps_routes(self) -> bool:
        """Whether the peer keeps our routes for a while if we are gone without a word."""
        return self._terms is not None and self._terms.restart_time is not None

    # Verbs: what happens to the session.

    def start(self, now: float) -> tuple[Effect, ...]:
        """Begin: dial, or if passive, wait for ``connected``."""
        return self._step(Event.START_PASSIVE if self._passive else Event.START, now)

    def stop(self, now: float, farewell: Farewell = SHUTDOWN) -> tuple[Effect, ...]:
        """End for good, with these words if there is a peer to hear them."""
        return self._step(Event.STOP, now, farewell)

    def connected(
        self, local: LocalAddresses, router_id: IPv4Address, now: float
    ) -> tuple[Effect, ...]:
        """The connection stands. Its local addresses are the next hops of what we advertise."""
        self._local = local
        self._router_id = router_id
        return self._step(Event.CONNECTED, now)

    def connection_failed(self, error: str, now: float) -> tuple[Effect, ...]:
        """The connection could not be opened, or is lost; ``error`` says how."""
        return self._step(Event.CONNECTION_FAILED, now, error)

    def blocked(self, now: float, *, is_blocked: bool) -> None:
        """The connection takes no more data for now, or takes some again.

        A peer that reads nothing is left after the send hold time (RFC 9687).
        """
        if not is_blocked:
            self._deadlines.pop(Event.SEND_HOLD_EXPIRED, None)
        elif self.is_up:
            hold_time = max(SEND_HOLD_TIME, 2 * self._agreed().hold_time)
            self._deadlines.setdefault(Event.SEND_HOLD_EXPIRED, now + hold_time)

    def bfd_down(self, why: str, now: float) -> tuple[Effect, ...]:
        """BFD lost the peer: end the session without waiting for the hold time; try again."""
        return self._step(
            Event.BFD_DOWN, now, BgpError(f"BFD down: {why}", ErrorCode.CEASE, Cease.BFD_DOWN)
        )

    def hasten(self, now: float) -> None:
        """There is news of the peer: do not wait for the next attempt, if there is one to come."""
        if Event.RETRY_DUE in self._deadlines:
            self._deadlines[Event.RETRY_DUE] = now

    @property
    def identities(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Both sides' identifier and AS number, ours first, once the peer's are known.

        Where the identifiers are equal, the AS numbers decide who is higher (RFC 6286).
        """
        if self._terms is None:
            return None
        terms, ours = self._terms, (int(self._router_id), self._settings.local_asn)
        return ours, (int(terms.peer_router_id), terms.peer_asn)

    def give_way(self, rival: Session, now: float) -> tuple[Effect, ...]:
        """Close the connection, and go on with that of a rival which is not established yet."""
        lost = BgpError(
            "peer opened another connection", ErrorCode.CEASE, Cease.CONNECTION_COLLISION_RESOLUTION
        )
        effects = self._step(Event.COLLISION_LOST, now, lost)
        self._state = rival._state
        self._deadlines, self._frames = rival._deadlines, rival._frames
        self._local, self._router_id = rival._local, rival._router_id
        self._terms = rival._terms
        # To give way is no failure of the session, but that of an established one is news.
        return tuple(effect for effect in effects if not isinstance(effect, ConnectFailed))

    def receive(
        self, data: bytes, now: float, *, only_introduce: bool = False
    ) -> tuple[Effect, ...]:
        """Bytes came in. What comes after the session's end is ignored.

        With ``only_introduce`` what follows the peer's OPEN waits for the next call.
        """
        if self._state not in _CONVERSING:
            return ()
        self._frames.feed(data)
        effects: list[Effect] = []
        awaited = {State.OPEN_SENT} if only_introduce else _CONVERSING
        while self._state in awaited:
            try:
                frame = self._frames.next_frame()
                if frame is None:
                    break
                event, message = self._understand(frame)
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
        """When ``handle_timeout`` wants to be called, if ever."""
        return min(self._deadlines.values(), default=None)

    def change_routes(
        self, wanted: Mapping[IPNetwork, RouteAttributes], unwanted: Iterable[IPNetwork] = ()
    ) -> tuple[Effect, ...]:
        """Advertise these from now on, and those no longer; ``flush`` tells the peer."""
        self._outbound.change(wanted, unwanted)
        return (self._outbound.counts,)

    def complete(self) -> None:
        """The routes so far are all: the peer is told when it knows them (RFC 4724 section 4.1)."""
        self._outbound.complete()

    def drain(self) -> None:
        """Say again every route, as one that is about to go (RFC 8326); ``flush`` does it."""
        self._outbound.drain()

    def flush(self, now: float) -> tuple[Effect, ...]:
        """Send the next changes of routes, a bounded number of them."""
        flush = self._outbound.flush()
        if flush is None:
            return ()
        self._restart_keepalive(now)  # an UPDATE says as well that we live
        return (Send(flush.data), UpdatesSent(flush.count), self._outbound.counts)

    # Events and actions.

    def _understand(self, frame: Frame) -> tuple[Event, Message]:
        """Decode a message; an OPEN that we wait for is settled at once. Raises BgpError."""
        message = decode(frame, four_octet=self._terms is None or self._terms.four_octet)
        if isinstance(message, Open) and self._state is State.OPEN_SENT:
            self._terms = negotiate(self._settings, self._our_open(), message)
            self._frames.max_length = self._terms.max_length
        return _EVENTS[type(message)], message

    def _step(self, event: Event, now: float, cause: Cause = None) -> tuple[Effect, ...]:
        outcome = step(self._state, event)
        moment = Moment(event, self._state, now, cause)
        self._state = outcome.next_state
        return self._actions[outcome.action](moment)

    def _nothing(self, _: Moment) -> tuple[Effect, ...]:
        return ()

    def _dial(self, moment: Moment) -> tuple[Effect, ...]:
        self._deadlines = {Event.SETUP_EXPIRED: moment.now + SETUP_TIME}
        return (Connect(),)

    def _send_open(self, moment: Moment) -> tuple[Effect, ...]:
        self._deadlines.pop(Event.RETRY_DUE, None)
        self._deadlines.setdefault(Event.SETUP_EXPIRED, moment.now + SETUP_TIME)
        return (Send(encode(self._our_open())),)

    def _our_open(self) -> Open:
        over_ipv6 = self._local.own.version == 6
        return our_open(
            self._settings,
            self._router_id,
            restarting=self._outbound.restarting,
            forwarding=self._settings.keeps_forwarding,
            ipv4_over_ipv6=over_ipv6,
            bare=self._attempts.bare,
        )

    def _accept_open(self, moment: Moment) -> tuple[Effect, ...]:
        self._restart_hold(moment.now)
        return self._send_keepalive(moment)

    def _establish(self, moment: Moment) -> tuple[Effect, ...]:
        terms = self._agreed()
        del self._deadlines[Event.SETUP_EXPIRED]
        self._restart_hold(moment.now)
        self._up_since = moment.now
        self._outbound.open(terms, self._local)
        return (SessionUp(terms), self._outbound.counts)

    def _refresh_hold(self, moment: Moment) -> tuple[Effect, ...]:
        self._restart_hold(moment.now)
        return ()

    def _take_update(self, moment: Moment) -> tuple[Effect, ...]:
        self._restart_hold(moment.now)
        return (UpdateReceived(moment.cause),) if isinstance(moment.cause, Update) else ()

    def _resend_routes(self, moment: Moment) -> tuple[Effect, ...]:
        self._restart_hold(moment.now)
        request = moment.cause
        if isinstance(request, Refresh) and request.requested is not None:
            self._outbound.resend(request.requested)
        return ()

    def _send_keepalive(self, moment: Moment) -> tuple[Effect, ...]:
        self._restart_keepalive(moment.now)
        return (Send(encode(Keepalive())),)

    def _hang_up(self, moment: Moment) -> tuple[Effect, ...]:
        reason = reason_of(moment)
        if isinstance(moment.cause, Notification) and moment.state is State.ESTABLISHED:
            return (NotificationReceived(reason), *self._end(moment, reason))
        return self._end(moment, reason)

    def _refuse(self, moment: Moment) -> tuple[Effect, ...]:
        error = complaint_about(moment)
        last_words = Notification(error.code, error.subcode, error.data)
        if moment.event is Event.BFD_DOWN:  # whatever was agreed: there is no way through here
            last_words = cease(Cease.BFD_DOWN, hard=self._resets_hard)
        return (Send(encode(last_words)), *self._end(moment, str(error)))

    def _cease(self, moment: Moment) -> tuple[Effect, ...]:
        farewell = moment.cause if isinstance(moment.cause, Farewell) else SHUTDOWN
        if farewell.routes_stay and self.peer_keeps_routes and moment.state is State.ESTABLISHED:
            return self._retire(moment)
        withdrawals = self._outbound.withdraw_all() if farewell.withdraws else NOTHING
        last_words = cease(farewell.why, farewell.text, hard=self._resets_hard)
        told = (UpdatesSent(withdrawals.count),) if withdrawals.count else ()
        return (Send(withdrawals.data + encode(last_words)), *told, *self._retire(moment))

    def _retire(self, moment: Moment) -> tuple[Effect, ...]:
        self._forget_connection()
        return () if moment.state in (State.IDLE, State.ACTIVE) else (CloseTcp(),)

    def _end(self, moment: Moment, reason: str) -> tuple[Effect, ...]:
        """Close, tell the driver, and see to the next attempt."""
        self._forget_connection()
        was_up = moment.state is State.ESTABLISHED
        lasted = was_up and moment.now - self._up_since >= SETUP_TIME
        if moment.event is not Event.COLLISION_LOST:
            delay = self._attempts.failed(moment.cause, lasted=lasted)
            if not self._passive:
                self._deadlines[Event.RETRY_DUE] = moment.now + delay
        if was_up:
            return (CloseTcp(), SessionDown(reason), self._outbound.counts)
        return (CloseTcp(), ConnectFailed(reason))

    def _forget_connection(self) -> None:
        self._deadlines.clear()
        self._frames = FrameReader()
        self._terms = None
        self._outbound.close()

    @property
    def _resets_hard(self) -> bool:
        """Whether a NOTIFICATION alone would leave the peer with our routes (RFC 8538)."""
        return self._terms is not None and self._terms.routes_survive_notifications

    def _agreed(self) -> Terms:
        if self._terms is None:
            raise LocalProtocolError("a session has no terms before the peer's OPEN")
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

_CONVERSING = frozenset({State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED})
