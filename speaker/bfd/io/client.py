"""Handle on the speaker's BFD process: sends it the wanted sessions, returns events.

The process runs only while a session is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from metallb_py.protocols.bfd.packet import Diagnostic
from metallb_py.protocols.bfd.session import Counts
from metallb_py.protocols.bfd.settings import Path, SessionDown, SessionUp, Settings
from speaker.bfd.io.messages import SESSIONS, Configure, PathName, Watch, decode_report, encode
from speaker.linux.worker_process import WorkerEvent, WorkerProcess

_PROCESS: Final = "speaker.bfd.io.process"


@dataclass(frozen=True, slots=True)
class Counted:
    """Counters of a session since it, or its process, started."""

    path: Path
    counts: Counts


@dataclass(frozen=True, slots=True)
class SocketsFailed:
    """Errors as text, which are retried; empty once everything works."""

    errors: tuple[str, ...]


BfdEvent = SessionUp | SessionDown | Counted | SocketsFailed


class Bfd:
    """Holds BFD sessions through a process of its own.

    ``watch`` is called from the loop that runs ``run``, and does not block.
    """

    def __init__(self) -> None:
        self._process: WorkerProcess[BfdEvent] = WorkerProcess(
            _PROCESS, commands=self._take_commands, decode=self._decode, needed=False
        )
        self._wanted: dict[Path, Settings] = {}

    def watch(self, wanted: Mapping[Path, Settings]) -> int:
        """Hold exactly these sessions, or the first SESSIONS of them; return how many are held.

        Those that exist already are not disturbed.
        """
        self._wanted = dict(islice(wanted.items(), SESSIONS))
        self._process.update(needed=bool(self._wanted))
        return len(self._wanted)

    async def run(self, on_event: Callable[[BfdEvent | WorkerEvent], None]) -> None:
        """Keep a process running while sessions are wanted, until cancelled."""
        await self._process.run(on_event)

    def _take_commands(self, _fresh: bool) -> list[bytes]:
        watches = (Watch(PathName.of(path), s) for path, s in self._wanted.items())
        return [encode(Configure(tuple(watches)))]

    def _decode(self, message: bytes) -> Iterator[BfdEvent]:
        report = decode_report(message)
        for change in report.changes:
            # A change may have been sent before the process removed the session.
            if (path := change.path.path) in self._wanted:
                if change.went_down:
                    diagnostic = Diagnostic(change.diagnostic)
                    yield SessionDown(path, diagnostic, change.peer_admin_down)
                if change.up:
                    yield SessionUp(path)
        for totals in report.totals:
            if (path := totals.path.path) in self._wanted:
                yield Counted(path, totals.counts)
        if report.errors is not None:
            yield SocketsFailed(report.errors)
