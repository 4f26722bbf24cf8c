"""The BFD process: exchanges packets with routers on time, whatever the load of the speaker.

With 50 ms between packets and a detect multiplier of 3, routers would declare a speaker down that
reads ten thousand services. The event loop handles received packets before expired deadlines, so
that a machine that was halted for a short time does not declare its peers down because of its own
delay.
"""

from __future__ import annotations

import errno
import gc
import random
import resource
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import monotonic
from typing import Final, assert_never

from metallb_py.protocols.bfd.sessions import Sessions
from metallb_py.protocols.bfd.settings import (
    Effect,
    Path,
    ReturnEcho,
    SendControl,
    SessionDown,
    SessionUp,
    Settings,
)
from speaker.bfd.io.messages import (
    BATCH,
    ERRORS,
    Change,
    PathName,
    Report,
    Totals,
    decode_command,
    encode,
)
from speaker.bfd.io.sockets import SOURCE_PORTS, Listener, Place, Port, Sender
from speaker.linux.capabilities import confine
from speaker.linux.event_loop import EventLoop
from speaker.linux.routes import forwards

REPORT_INTERVAL: Final = 1.0
"""Seconds between reports of the sessions' counters."""
RETRY_INTERVAL: Final = 1.0
"""Seconds until failed sockets are opened again."""
_NEXT_BATCH: Final = 0.05  # seconds until the totals of the next batch of sessions are sent
# Errors that end a round of opening sockets: the others would fail in the same way.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class BfdProcess:
    """The program of the process, called by its event loop."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._sessions = Sessions(random.random)
        self._wanted: dict[Path, Settings] = {}
        self._listeners: dict[Place, Listener] = {}
        self._senders: dict[Path, Sender] = {}
        self._changes: dict[Path, Change] = {}
        self._totals: dict[Path, Totals] = {}
        self._errors: tuple[str, ...] = ()
        self._reported_errors: tuple[str, ...] = ()
        self._next_report = 0.0
        self._next_retry: float | None = None
        self._unreported: deque[Path] = deque()  # those whose totals are due in this round

    def end_sessions(self) -> None:
        """Signal AdminDown to the peers (RFC 5880 section 6.8.16)."""
        self._perform(self._sessions.configure({}, monotonic()))

    def next_deadline(self) -> float | None:
        """Return when to call ``handle_timeout`` next."""
        deadlines = (self._sessions.next_deadline(), self._next_retry)
        return min((at for at in deadlines if at is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines of the sessions; open sockets that failed again."""
        self._perform(self._sessions.handle_timeout(now))
        if self._next_retry is not None and now >= self._next_retry:
            self._apply()

    # Commands

    def receive_commands(self, messages: list[bytes]) -> None:
        """Apply the last command, which replaces those before it."""
        command = decode_command(messages[-1])
        self._wanted = {watch.path.path: watch.settings for watch in command.watches}
        self._apply()

    def _apply(self) -> None:
        """Open the wanted sockets and sessions; record an error for each that fails."""
        errors: list[str] = []
        self._open_listeners(errors)
        for path in [path for path in self._wanted if path not in self._senders]:
            try:
                self._senders[path] = Sender(path, random.randrange(len(SOURCE_PORTS)))
            except OSError as error:
                errors.append(f"session with {path.peer}: {error.strerror}")
                if error.errno in _EXHAUSTED:
                    missing = len(self._wanted.keys() - self._senders.keys())
                    errors.append(f"{missing} sessions are not held: {error.strerror}")
                    break
        possible = {
            path: _effective_settings(path, settings, errors)
            for path, settings in self._wanted.items()
            if path in self._senders
        }
        self._perform(self._sessions.configure(possible, monotonic()))
        for path in self._senders.keys() - possible.keys():
            self._senders.pop(path).close()
            self._changes.pop(path, None)
            self._totals.pop(path, None)
        self._errors = _shortened(errors)
        self._next_retry = monotonic() + RETRY_INTERVAL if errors else None

    def _open_listeners(self, errors: list[str]) -> None:
        wanted = set(_places(self._wanted))
        for place in self._listeners.keys() - wanted:
            listener = self._listeners.pop(place)
            self._loop.unwatch(listener.fileno())
            listener.close()
        for place in wanted - self._listeners.keys():
            try:
                listener = Listener(place)
            except OSError as error:
                errors.append(f"{place}: {error.strerror}")
                continue
            self._listeners[place] = listener
            self._loop.watch(listener.fileno(), self._handler(listener))

    # Packets

    def _handler(self, listener: Listener) -> Callable[[], None]:
        def receive() -> None:
            for data, arrival in listener.receive():
                self._perform(self._sessions.receive(data, arrival, monotonic()))

        def receive_echo() -> None:
            for data, arrival in listener.receive():
                self._perform(self._sessions.receive_echo(data, arrival))

        return receive_echo if listener.place.port is Port.ECHO else receive

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendControl(path, data):
                    self._senders[path].send(data)
                case ReturnEcho(path, data):
                    self._senders[path].return_echo(data)
                case SessionUp(path):
                    before = self._changes.get(path, Change(PathName.of(path), up=True))
                    self._changes[path] = Change(
                        before.path,
                        True,
                        before.went_down,
                        before.diagnostic,
                        before.peer_admin_down,
                    )
                case SessionDown(path, diagnostic, peer_admin_down):
                    before = self._changes.get(path, Change(PathName.of(path), up=False))
                    # A failure is reported even where an intended end of the session follows it.
                    peer_admin_down = peer_admin_down and (
                        before.peer_admin_down or not before.went_down
                    )
                    self._changes[path] = Change(
                        before.path, False, True, int(diagnostic), peer_admin_down
                    )
                case _:
                    assert_never(effect)

    # Reports

    def next_report(self) -> float | None:
        """Return when the next report is due: at once if a session changed."""
        return 0.0 if self._changes else self._next_report

    def report(self, now: float) -> bytes | None:
        """Return a report of what changed, None if nothing did."""
        paths = list(self._changes)[:BATCH]
        changes = tuple(self._changes.pop(path) for path in paths)
        totals = self._new_totals() if now >= self._next_report else {}
        errors = None if self._errors == self._reported_errors else self._errors
        self._totals.update(totals)
        self._reported_errors = self._errors
        if now >= self._next_report:
            self._next_report = now + (_NEXT_BATCH if self._unreported else REPORT_INTERVAL)
        if not changes and not totals and errors is None:
            return None
        return encode(Report(changes, tuple(totals.values()), errors))

    def _new_totals(self) -> dict[Path, Totals]:
        """Return those totals of the next batch of sessions that changed.

        Every session is in a batch once before one is in a second.
        """
        counts = self._sessions.counts
        self._unreported = self._unreported or deque(counts)
        changed: dict[Path, Totals] = {}
        while self._unreported and len(changed) < BATCH:
            path = self._unreported.popleft()
            now, reported = counts.get(path), self._totals.get(path)
            if now is not None and (reported is None or reported.counts != now):
                changed[path] = Totals(PathName.of(path), replace(now))
        return changed


def _shortened(errors: list[str]) -> tuple[str, ...]:
    """Return up to ERRORS errors, the last of which counts the others."""
    if len(errors) <= ERRORS:
        return tuple(errors)
    kept = errors[: ERRORS - 1]
    return (*kept, f"{len(errors) - len(kept)} more errors, the last one: {errors[-1]}")


def _effective_settings(path: Path, settings: Settings, errors: list[str]) -> Settings:
    """Disable echo where the host does not forward, as echo requires (RFC 5881 section 4)."""
    version = path.peer.version
    if not settings.echo or forwards(version):
        return settings
    errors.append(f"echo with {path.peer}: this host does not forward IPv{version}")
    return replace(settings, echo=False)


def _places(wanted: Iterable[Path]) -> Iterable[Place]:
    for path in wanted:
        if path.multihop:
            yield Place(path.peer.version, Port.MULTIHOP)
        else:
            yield Place(path.peer.version, Port.SINGLE_HOP)
            yield Place(path.peer.version, Port.ECHO)


def _allow_descriptors() -> None:
    """Raise the limit of open files to the hard limit: each session has a socket."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Run on the socket whose descriptor is the first argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    _allow_descriptors()
    confine()  # UDP needs no capability
    loop = EventLoop(control)
    process = BfdProcess(loop)
    gc.freeze()  # what exists now stays: no later collection needs to visit it
    loop.run(process)
    process.end_sessions()


if __name__ == "__main__":
    main()
