"""A BFD session without its socket (RFC 5880): packets and time in, effects out.

Theory of operation. Both sides send control packets periodically (asynchronous mode), each at the
slower of its own desired interval and the one that the other side can receive. A side that receives
no packet within the detection time changes to Down and signals that. The three-way handshake Down,
Init, Up ensures that each side receives the other's packets. Until the session is Up, at most one
packet per second is sent. A changed interval is announced by a Poll Sequence: packets have the Poll
bit until the other side has answered with Final; a change that would let its detection time expire
takes effect only then.

Times are monotonic seconds, intervals are microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from metallb_py.protocols.bfd.packet import ControlPacket, Diagnostic, State, encode
from metallb_py.protocols.bfd.settings import (
    Effect,
    Path,
    SendControl,
    SessionDown,
    SessionUp,
    Settings,
)

SLOW: Final = 1_000_000
"""Least microseconds between our packets while a session is not Up (RFC 5880 section 6.8.3)."""

ADMIN_DOWN_TRANSMISSIONS: Final = 3
"""The number of packets with state AdminDown that ``stop`` sends."""

_SECOND: Final = 1_000_000


@dataclass(slots=True)
class Counts:
    """Counters of a session since it was created."""

    control_in: int = 0
    """Control packets received."""
    control_out: int = 0
    """Control packets sent."""
    echo_in: int = 0
    """Echo packets received from the peer."""
    echo_out: int = 0
    """Echo packets returned to the peer."""
    ups: int = 0
    """Transitions to Up."""
    downs: int = 0
    """Transitions from Up."""


@dataclass(frozen=True, slots=True)
class _Intervals:
    """Least intervals between packets to send and packets to receive, in microseconds."""

    transmit: int
    receive: int


class Session:
    """One BFD session in asynchronous mode. ``rng`` returns a random number in [0, 1)."""

    def __init__(
        self, path: Path, settings: Settings, discriminator: int, rng: Callable[[], float]
    ) -> None:
        self._path = path
        self._settings = settings
        self._rng = rng
        self.discriminator = discriminator
        self.counts = Counts()
        self._state = State.DOWN
        self._diagnostic = Diagnostic.NONE
        # The peer's last packet, with its state variables (RFC 5880 section 6.8.1).
        self._received: ControlPacket | None = None
        self._remote_discriminator = 0
        # The announced intervals, and those in effect until the peer has answered with Final.
        self._wanted = self._in_force = self._intervals()
        self._polling = False
        self._changed_since_poll = False
        self._last_sent = 0.0
        self._interval = 0  # from which ``_due`` was computed
        self._due: float | None = None
        self._last_received_at = 0.0

    @property
    def state(self) -> State:
        """The current state."""
        return self._state

    @property
    def settings(self) -> Settings:
        """The current configuration."""
        return self._settings

    @property
    def detection_time(self) -> float | None:
        """Seconds without a packet after which the session goes Down; None before the first."""
        if self._received is None:
            return None
        slower = max(self._in_force.receive, self._received.desired_min_tx)
        return self._received.detect_multiplier * slower / _SECOND

    # Inputs

    def start(self, now: float) -> tuple[Effect, ...]:
        """Start to send, or if passive, wait for the peer's first packet."""
        self._due = now
        return self.handle_timeout(now)

    def reconfigure(self, settings: Settings, now: float) -> tuple[Effect, ...]:
        """Change the configuration without a transition to Down."""
        self._settings = settings
        self._request_intervals(self._intervals())
        self._reschedule_transmit()
        return self.handle_timeout(now)

    def stop(self, now: float) -> tuple[Effect, ...]:
        """End the session and signal AdminDown to the peer (RFC 5880 section 6.8.16).

        Several packets are sent at once, since there is no later transmission. A peer that receives
        none of them detects the end by its detection time.
        """
        return (
            self._enter(State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN, now)
            * ADMIN_DOWN_TRANSMISSIONS
        )

    def receive(self, packet: ControlPacket, now: float) -> tuple[Effect, ...]:
        """Handle a packet for this session (RFC 5880 section 6.8.6, after session selection)."""
        if self._state is State.ADMIN_DOWN:
            return ()
        self.counts.control_in += 1
        self._received = packet
        self._last_received_at = now
        self._remote_discriminator = packet.my_discriminator
        if packet.final:
            self._end_poll()
        effects = self._update_state(packet, now)
        if packet.poll:
            effects += self._send(now, final=True)
        self._reschedule_transmit()
        return effects

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Act on every deadline that has passed."""
        effects: tuple[Effect, ...] = ()
        expires = self._expires()
        if expires is not None and expires <= now:
            if self._state in (State.INIT, State.UP):
                effects += self._enter(State.DOWN, Diagnostic.DETECTION_TIME_EXPIRED, now)
            self._received = None
            self._remote_discriminator = 0
            self._reschedule_transmit()
        if self._may_send() and self._due is not None and self._due <= now:
            effects += self._send(now)
        return effects

    def next_deadline(self) -> float | None:
        """Return the time at which to call ``handle_timeout``, or None."""
        due = self._due if self._may_send() else None
        return min((at for at in (due, self._expires()) if at is not None), default=None)

    # States

    def _update_state(self, packet: ControlPacket, now: float) -> tuple[Effect, ...]:
        """Perform the transition for the received state (RFC 5880 section 6.8.6)."""
        match self._state, packet.state:
            case State.DOWN, State.DOWN:
                return self._enter(State.INIT, self._diagnostic, now)
            case State.DOWN, State.INIT:
                return self._enter(State.UP, Diagnostic.NONE, now)
            case State.INIT, State.INIT | State.UP:
                return self._enter(State.UP, Diagnostic.NONE, now)
            case (State.INIT | State.UP, State.ADMIN_DOWN) | (State.UP, State.DOWN):
                return self._enter(State.DOWN, Diagnostic.NEIGHBOR_SIGNALED_DOWN, now)
        return ()

    def _enter(self, state: State, diagnostic: Diagnostic, now: float) -> tuple[Effect, ...]:
        """Change the state and send a packet at once."""
        before, self._state = self._state, state
        self._diagnostic = diagnostic
        if state is State.UP:
            self._request_intervals(self._intervals())
        elif before is State.UP:
            self._polling = self._changed_since_poll = False
            self._wanted = self._in_force = self._intervals()
        effects: tuple[Effect, ...] = self._send(now) if self._may_send() else ()
        if state is State.UP:
            self.counts.ups += 1
            return (*effects, SessionUp(self._path))
        if before is State.UP:
            self.counts.downs += 1
            if state is State.DOWN:
                peer_admin_down = (
                    self._received is not None and self._received.state is State.ADMIN_DOWN
                )
                return (*effects, SessionDown(self._path, diagnostic, peer_admin_down))
        return effects

    # Intervals

    def _intervals(self) -> _Intervals:
        """Return the configured intervals, slowed down while the session is not Up."""
        transmit = self._settings.transmit_interval
        if self._state is not State.UP:
            transmit = max(transmit, SLOW)
        return _Intervals(transmit, self._settings.receive_interval)

    def _request_intervals(self, wanted: _Intervals) -> None:
        """Change the intervals, those parts at once that need no Poll Sequence (section 6.8.3)."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if self._state is not State.UP:
            self._in_force = wanted
            return
        self._in_force = _Intervals(
            min(wanted.transmit, self._in_force.transmit),
            max(wanted.receive, self._in_force.receive),
        )
        self._changed_since_poll = self._polling
        self._polling = True

    def _end_poll(self) -> None:
        """End the Poll Sequence: the announced intervals take effect (section 6.5)."""
        if self._changed_since_poll:
            self._changed_since_poll = False  # changed again meanwhile: start another sequence
        elif self._polling:
            self._polling = False
            self._in_force = self._wanted

    def _expires(self) -> float | None:
        time = self.detection_time
        return None if time is None else self._last_received_at + time

    # Sending

    def _may_send(self) -> bool:
        """Whether packets are sent periodically (section 6.8.7)."""
        received = self._received
        if received is None:
            return not (self._settings.passive and self._remote_discriminator == 0)
        in_demand = received.demand and self._state is received.state is State.UP
        return received.required_min_rx > 0 and (self._polling or not in_demand)

    def _reschedule_transmit(self) -> None:
        """Set the time of the next packet again, if the interval has changed since it was set."""
        interval = self._agreed_interval()
        if interval != self._interval:
            self._interval = interval
            self._due = self._last_sent + self._with_jitter(interval)

    def _agreed_interval(self) -> int:
        theirs = self._received.required_min_rx if self._received else 0
        return max(self._in_force.transmit, theirs)

    def _with_jitter(self, interval: int) -> float:
        """Return the interval in seconds, less up to a quarter, to avoid self-synchronization.

        Section 6.8.7; at least a tenth is taken off where the detect multiplier is 1.
        """
        least, most = 0.75, 0.9 if self._settings.detect_multiplier == 1 else 1.0
        return interval * (most - (most - least) * self._rng()) / _SECOND

    def _send(self, now: float, *, final: bool = False) -> tuple[Effect, ...]:
        settings = self._settings
        packet = ControlPacket(
            state=self._state,
            my_discriminator=self.discriminator,
            your_discriminator=self._remote_discriminator,
            detect_multiplier=settings.detect_multiplier,
            desired_min_tx=self._wanted.transmit,
            required_min_rx=self._wanted.receive,
            required_min_echo_rx=settings.echo_interval if settings.echo else 0,
            diagnostic=self._diagnostic,
            poll=self._polling and not final,
            final=final,
        )
        self.counts.control_out += 1
        if not final:
            self._last_sent = now
            self._interval = self._agreed_interval()
            self._due = now + self._with_jitter(self._interval)
        return (SendControl(self._path, encode(packet)),)
