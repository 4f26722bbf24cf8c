"""A BFD session without its socket (RFC 5880): packets and time in, effects out.

Theory of operation. Both sides send packets all the time, each at the slower of what it wants and
what the other can take. Who hears nothing for a detection time says so: the session is Down. The
three-way handshake Down, Init, Up makes sure that both hear each other. Until Up, packets go out
once a second at the most; a change of an interval is told with the Poll bit until the other side
has answered with Final, and what would make the other side late takes effect only then.

Times are seconds of any monotonic clock, intervals microseconds.
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
"""No session that is not Up sends more often (RFC 5880 section 6.8.3)."""

LAST_WORDS: Final = 3

_SECOND: Final = 1_000_000


@dataclass(slots=True)
class Counts:
    """What a session did since it began."""

    control_in: int = 0
    control_out: int = 0
    echo_in: int = 0
    echo_out: int = 0
    ups: int = 0
    downs: int = 0


@dataclass(frozen=True, slots=True)
class _Intervals:
    """What we want: to send, and to receive, no more often than this."""

    transmit: int
    receive: int


class Session:
    """One session. ``chance`` draws from 0 up to, but not including, 1."""

    def __init__(
        self, path: Path, settings: Settings, discriminator: int, chance: Callable[[], float]
    ) -> None:
        self._path = path
        self._settings = settings
        self._chance = chance
        self.discriminator = discriminator
        self.counts = Counts()
        self._state = State.DOWN
        self._diagnostic = Diagnostic.NONE
        # What the other side last told (RFC 5880 section 6.8.1).
        self._heard: ControlPacket | None = None
        self._remote_discriminator = 0
        self._wanted = self._in_force = self._intervals()
        self._polling = False
        self._changed_since_poll = False
        self._last_sent = 0.0
        self._interval = 0  # that the next packet's time was reckoned with
        self._due: float | None = None
        self._last_heard = 0.0

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    @property
    def settings(self) -> Settings:
        """What it was told."""
        return self._settings

    @property
    def detection_time(self) -> float | None:
        """Seconds of silence that bring it down; None before the first packet."""
        if self._heard is None:
            return None
        slower = max(self._in_force.receive, self._heard.desired_min_tx)
        return self._heard.detect_multiplier * slower / _SECOND

    # Verbs: what happens to the session.

    def start(self, now: float) -> tuple[Effect, ...]:
        """Begin to send, unless it is the peer's part to begin."""
        self._due = now
        return self.handle_timeout(now)

    def retune(self, settings: Settings, now: float) -> tuple[Effect, ...]:
        """Go on with other settings, without going down."""
        self._settings = settings
        self._want(self._intervals())
        self._reckon()
        return self.handle_timeout(now)

    def stop(self, now: float) -> tuple[Effect, ...]:
        """End on purpose, and tell the peer so (RFC 5880 section 6.8.16).

        It is told a few times at once, for nobody is there to repeat it. A peer that hears none of
        them finds out by itself.
        """
        return self._enter(State.ADMIN_DOWN, Diagnostic.ADMINISTRATIVELY_DOWN, now) * LAST_WORDS

    def receive(self, packet: ControlPacket, now: float) -> tuple[Effect, ...]:
        """A packet for this session came in (RFC 5880 section 6.8.6, from where it is found)."""
        if self._state is State.ADMIN_DOWN:
            return ()
        self.counts.control_in += 1
        self._heard = packet
        self._last_heard = now
        self._remote_discriminator = packet.my_discriminator
        if packet.final:
            self._end_poll()
        effects = self._follow(packet, now)
        if packet.poll:
            effects += self._send(now, final=True)
        self._reckon()
        return effects

    def handle_timeout(self, now: float) -> tuple[Effect, ...]:
        """Act on what is due."""
        effects: tuple[Effect, ...] = ()
        expires = self._expires()
        if expires is not None and expires <= now:
            if self._state in (State.INIT, State.UP):
                effects += self._enter(State.DOWN, Diagnostic.DETECTION_TIME_EXPIRED, now)
            self._heard = None
            self._remote_discriminator = 0
            self._reckon()
        if self._may_send() and self._due is not None and self._due <= now:
            effects += self._send(now)
        return effects

    def next_deadline(self) -> float | None:
        """When ``handle_timeout`` wants to be called, if ever."""
        due = self._due if self._may_send() else None
        return min((at for at in (due, self._expires()) if at is not None), default=None)

    # States

    def _follow(self, packet: ControlPacket, now: float) -> tuple[Effect, ...]:
        """Take the step of the state machine that the other side's state calls for."""
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
        """Change the state, and tell the peer at once."""
        before, self._state = self._state, state
        self._diagnostic = diagnostic
        if state is State.UP:
            self._want(self._intervals())
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
                on_purpose = self._heard is not None and self._heard.state is State.ADMIN_DOWN
                return (*effects, SessionDown(self._path, diagnostic, on_purpose))
        return effects

    # Intervals

    def _intervals(self) -> _Intervals:
        """Return what the settings say, slowed down while the session is not Up."""
        transmit = self._settings.transmit_interval
        if self._state is not State.UP:
            transmit = max(transmit, SLOW)
        return _Intervals(transmit, self._settings.receive_interval)

    def _want(self, wanted: _Intervals) -> None:
        """Change the intervals, as far as the peer need not know first (section 6.8.3)."""
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
        """The other side has answered: what was told is in force (section 6.5)."""
        if self._changed_since_poll:
            self._changed_since_poll = False  # a change came meanwhile: poll again, for that
        elif self._polling:
            self._polling = False
            self._in_force = self._wanted

    def _expires(self) -> float | None:
        time = self.detection_time
        return None if time is None else self._last_heard + time

    # Sending

    def _may_send(self) -> bool:
        """Whether packets go out from time to time (section 6.8.7)."""
        heard = self._heard
        if heard is None:
            return not (self._settings.passive and self._remote_discriminator == 0)
        in_demand = heard.demand and self._state is heard.state is State.UP
        return heard.required_min_rx > 0 and (self._polling or not in_demand)

    def _reckon(self) -> None:
        """Set the time of the next packet, where another interval holds than when it was set."""
        interval = self._agreed_interval()
        if interval != self._interval:
            self._interval = interval
            self._due = self._last_sent + self._with_jitter(interval)

    def _agreed_interval(self) -> int:
        theirs = self._heard.required_min_rx if self._heard else 0
        return max(self._in_force.transmit, theirs)

    def _with_jitter(self, interval: int) -> float:
        """Take up to a quarter off, so that nothing in a network gets into step (section 6.8.7)."""
        least, most = 0.75, 0.9 if self._settings.detect_multiplier == 1 else 1.0
        return interval * (most - (most - least) * self._chance()) / _SECOND

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
