"""BFD for BGP peers: configuration of the sessions, log and metrics, and reports of a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Protocol, assert_never

from metallb_py.model.config import Config
from metallb_py.model.peers import SessionParameters
from metallb_py.protocols.bfd.packet import Diagnostic
from metallb_py.protocols.bfd.session import Counts
from metallb_py.protocols.bfd.settings import Path, SessionDown, SessionUp, Settings
from metallb_py.runtime.log import Logger
from speaker.bfd.io.client import BfdEvent, Counted, SocketsFailed
from speaker.bfd.targets import BfdTargets, targets_for
from speaker.linux.routes import is_neighbor
from speaker.linux.worker_process import WorkerEvent, WorkerNotStarted, WorkerRestarted
from speaker.metrics import BfdMetrics, SpeakerMetrics


class Bfd(Protocol):
    """The BFD sessions of this node: ``speaker.bfd.io.client.Bfd``, or a test's twin of it."""

    def watch(self, wanted: Mapping[Path, Settings]) -> int:
        """Hold exactly these sessions, or the first of them; return how many are held."""

    async def run(self, on_event: Callable[[BfdEvent | WorkerEvent], None]) -> None:
        """Run the sessions until cancelled."""


class BfdWatcher:
    """Watches the peers that have a BFD profile.

    ``on_loss`` is called with each peer whose path failed, and the reason; it is to end the BGP
    session. BFD never keeps a BGP session from coming up, as in MetalLB's FRR mode.
    """

    def __init__(
        self,
        bfd: Bfd,
        log: Logger,
        metrics: SpeakerMetrics,
        on_loss: Callable[[SessionParameters, str], None],
    ) -> None:
        self._bfd = bfd
        self._log = log
        self._metrics = BfdMetrics(metrics)
        self._on_loss = on_loss
        self._targets = BfdTargets()
        self._counted: dict[Path, dict[str, int]] = {}

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Watch the peers with a BFD profile that select a node with these labels."""
        before = self._targets.settings
        self._targets = targets_for(config, labels, is_neighbor)
        now = self._targets.settings
        for path in before.keys() - now.keys():
            self._counted.pop(path, None)
            self._log_for(path).info("BFD session removed", event="bfdRemoved")
        for peer in {path.peer for path in before} - {path.peer for path in now}:
            self._metrics.forget_peer(str(peer))
        for path in now.keys() - before.keys():
            self._metrics.show_peer(str(path.peer))
            self._log_for(path).info(
                "BFD session configured", event="bfdAdded", multihop=path.multihop
            )
        held = self._bfd.watch(now)
        if held < len(now):
            self._log_problem(f"{len(now)} sessions are wanted, and at most {held} can be held")

    async def run(self) -> None:
        """Run the BFD sessions until cancelled."""
        await self._bfd.run(self._on_event)

    def _on_event(self, event: BfdEvent | WorkerEvent) -> None:
        match event:
            case SessionUp(path):
                self._metrics.session_up.labels(str(path.peer)).set(1)
                self._log_for(path).info("BFD session up", event="bfdUp")
            case SessionDown():
                self._on_down(event)
            case Counted(path, counts):
                self._count(path, counts)
            case SocketsFailed(errors):
                for error in errors:
                    self._log_problem(error)
            case WorkerNotStarted(error):
                self._log_problem(f"the BFD process is not started: {error}")
            case WorkerRestarted(status):
                self._counted.clear()
                for path in self._targets.settings:
                    self._metrics.session_up.labels(str(path.peer)).set(0)
                self._log.error(
                    "BFD process died, a new one took over", event="bfdRestarted", status=status
                )
            case _:
                assert_never(event)

    def _on_down(self, down: SessionDown) -> None:
        reason = _DIAGNOSTICS[down.diagnostic]
        if down.peer_admin_down:
            reason = "the neighbor is AdminDown"  # RFC 5880 section 6.8.16
        self._metrics.session_up.labels(str(down.path.peer)).set(0)
        self._log_for(down.path).warn("BFD session down", event="bfdDown", reason=reason)
        if down.peer_admin_down:
            return  # the path has not failed (RFC 5882 section 4.2)
        for peer in self._targets.peers.get(down.path, ()):
            self._on_loss(peer, reason)

    def _count(self, path: Path, counts: Counts) -> None:
        now = asdict(counts)
        self._metrics.count(str(path.peer), self._counted.get(path, {}), now)
        self._counted[path] = now

    def _log_problem(self, error: str) -> None:
        self._log.error("BFD is degraded", op="openBfd", error=error)

    def _log_for(self, path: Path) -> Logger:
        return self._log.bind(peer=str(path.peer))


_DIAGNOSTICS: Mapping[Diagnostic, str] = {
    diagnostic: diagnostic.name.lower().replace("_", " ") for diagnostic in Diagnostic
} | {
    Diagnostic.DETECTION_TIME_EXPIRED: "no packet received within the detection time",
    Diagnostic.NEIGHBOR_SIGNALED_DOWN: "the neighbor receives no packets from us, or restarted",
}
