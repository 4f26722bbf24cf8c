"""BFD of the peers: what is watched, whose loss is reported, and the events in log and metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from metallb_py.model.config import Config
from metallb_py.model.peers import BfdProfile, Peer, SessionParameters
from metallb_py.protocols.bfd.packet import Diagnostic
from metallb_py.protocols.bfd.session import Counts
from metallb_py.protocols.bfd.settings import Path, SessionDown, SessionUp, Settings
from metallb_py.runtime.log import Logger
from speaker.announcers.bfd import BfdWatcher
from speaker.bfd.io.client import BfdEvent, Counted, SocketsFailed
from speaker.linux.worker_process import WorkerEvent, WorkerNotStarted, WorkerRestarted
from speaker.metrics import SpeakerMetrics

ROUTER, OTHER = ip_address("10.0.0.2"), ip_address("10.0.0.3")
PATH, OTHER_PATH = Path(ROUTER), Path(OTHER)
PEER = Peer(SessionParameters(64512, 64513, ROUTER), bfd_profile="fast")
OTHER_PEER = replace(PEER, session=replace(PEER.session, address=OTHER))
PROFILE = BfdProfile("fast")
TIMED_OUT = Diagnostic.DETECTION_TIME_EXPIRED
NO_PACKET = "no packet received within the detection time"


class RecordingBfd:
    """BFD sessions that are only recorded; events are those that a test emits."""

    def __init__(self, limit: int = 100) -> None:
        self.watched: list[Mapping[Path, Settings]] = []
        self.emit: Callable[[BfdEvent | WorkerEvent], None] | None = None
        self._limit = limit

    def watch(self, wanted: Mapping[Path, Settings]) -> int:
        self.watched.append(wanted)
        return min(len(wanted), self._limit)

    async def run(self, on_event: Callable[[BfdEvent | WorkerEvent], None]) -> None:
        self.emit = on_event
        await asyncio.Event().wait()


class Harness:
    """A watcher with its sessions, log, metrics, and the losses that it reported."""

    def __init__(self, limit: int = 100) -> None:
        self.lines: list[str] = []
        self.losses: list[tuple[SessionParameters, str]] = []
        self.metrics = SpeakerMetrics()
        self.bfd = RecordingBfd(limit)
        self.watcher = BfdWatcher(
            self.bfd,
            Logger(write=self.lines.append),
            self.metrics,
            lambda peer, reason: self.losses.append((peer, reason)),
        )

    def configure(self, *peers: Peer) -> None:
        self.watcher.configure(Config(peers=peers, bfd_profiles=(PROFILE,)), {})

    async def report(self, *events: BfdEvent | WorkerEvent) -> None:
        """Run the watcher while the sessions emit these events."""
        task = asyncio.create_task(self.watcher.run())
        while self.bfd.emit is None:
            await asyncio.sleep(0)
        for event in events:
            self.bfd.emit(event)
        task.cancel()
        await asyncio.wait([task])

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines, without their callers."""
        lines = [json.loads(line) for line in self.lines]
        return [{key: line[key] for key in line if key not in ("caller", "ts")} for line in lines]

    @property
    def page(self) -> str:
        return self.metrics.render()[0].decode()


def test_the_sessions_of_the_configuration_are_watched() -> None:
    harness = Harness()
    harness.configure(PEER, OTHER_PEER)
    harness.configure(OTHER_PEER)
    assert [list(watched) for watched in harness.bfd.watched] == [
        [PATH, OTHER_PATH],
        [OTHER_PATH],
    ]
    assert sorted((line["event"], line["peer"]) for line in harness.log) == [
        ("bfdAdded", "10.0.0.2"),
        ("bfdAdded", "10.0.0.3"),
        ("bfdRemoved", "10.0.0.2"),
    ]
    assert 'metallb_bfd_session_up{peer="10.0.0.3"} 0.0' in harness.page
    assert 'peer="10.0.0.2"' not in harness.page


def test_sessions_beyond_the_limit_are_logged() -> None:
    harness = Harness(limit=1)
    harness.configure(PEER, OTHER_PEER)
    assert harness.log[-1] == {
        "level": "error",
        "op": "openBfd",
        "msg": "BFD is degraded",
        "error": "2 sessions are wanted, and at most 1 can be held",
    }


async def test_a_failed_path_is_reported_for_each_peer_on_it() -> None:
    harness = Harness()
    second = replace(PEER, session=replace(PEER.session, local_asn=64514))
    harness.configure(PEER, second, OTHER_PEER)
    await harness.report(SessionUp(PATH), SessionDown(PATH, TIMED_OUT))
    assert harness.losses == [(PEER.session, NO_PACKET), (second.session, NO_PACKET)]
    up, down = harness.log[-2:]
    assert up == {
        "level": "info",
        "event": "bfdUp",
        "peer": "10.0.0.2",
        "msg": "BFD session up",
    }
    assert down == {
        "level": "warn",
        "event": "bfdDown",
        "peer": "10.0.0.2",
        "msg": "BFD session down",
        "reason": NO_PACKET,
    }
    assert 'metallb_bfd_session_up{peer="10.0.0.2"} 0.0' in harness.page


async def test_a_neighbor_that_is_admin_down_is_no_loss() -> None:
    harness = Harness()
    harness.configure(PEER)
    down = SessionDown(PATH, Diagnostic.NEIGHBOR_SIGNALED_DOWN, peer_admin_down=True)
    await harness.report(SessionUp(PATH), down)
    assert harness.losses == []
    assert harness.log[-1]["reason"] == "the neighbor is AdminDown"


async def test_counters_of_a_session_start_again_with_the_process() -> None:
    harness = Harness()
    harness.configure(PEER)
    await harness.report(
        SessionUp(PATH),
        Counted(PATH, Counts(control_in=5)),
        Counted(PATH, Counts(control_in=7)),
        WorkerRestarted(-9),
        Counted(PATH, Counts(control_in=2)),
    )
    assert 'metallb_bfd_control_packet_input{peer="10.0.0.2"} 9.0' in harness.page
    assert 'metallb_bfd_session_up{peer="10.0.0.2"} 0.0' in harness.page
    assert harness.losses == []
    assert harness.log[-1] == {
        "level": "error",
        "event": "bfdRestarted",
        "status": -9,
        "msg": "BFD process died, a new one took over",
    }


@pytest.mark.parametrize(
    ("event", "errors"),
    [
        (
            SocketsFailed(("a port is in use", "no such address")),
            ["a port is in use", "no such address"],
        ),
        (SocketsFailed(()), []),
        (WorkerNotStarted("no memory"), ["the BFD process is not started: no memory"]),
    ],
)
async def test_a_degraded_bfd_is_logged(event: BfdEvent | WorkerEvent, errors: list[str]) -> None:
    harness = Harness()
    await harness.report(event)
    assert harness.log == [
        {"level": "error", "op": "openBfd", "msg": "BFD is degraded", "error": error}
        for error in errors
    ]
