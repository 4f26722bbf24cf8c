"""The speaker's handle on the BFD process, over loopback of a namespace of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path as FilePath

import pytest
from support.net.background import while_running
from support.net.router_link import ROUTER, RouterLink
from support.net.waiting import eventually

from metallb_py.protocols.bfd.settings import Path, Settings
from speaker.bfd.io.client import Bfd, BfdEvent, Counted, SocketsFailed
from speaker.bfd.io.messages import SESSIONS
from speaker.bfd.io.sockets import Listener, Place, Port
from speaker.linux.worker_process import WorkerEvent, WorkerRestarted

pytestmark = pytest.mark.netns

PATH = Path(ip_address(ROUTER))


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[Bfd, list[BfdEvent | WorkerEvent]]]:
    events: list[BfdEvent | WorkerEvent] = []
    bfd = Bfd()
    async with while_running(bfd.run(events.append)):
        yield bfd, events


async def processes() -> list[int]:
    return bfd_children()


def bfd_children() -> list[int]:
    children = FilePath("/proc/thread-self/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"speaker.bfd.io.process" in FilePath(f"/proc/{child}/cmdline").read_bytes()
    ]


async def test_bfd_process_runs_only_while_sessions_are_configured(cable: RouterLink) -> None:
    async with running() as (bfd, events):
        await asyncio.sleep(0)
        assert await processes() == []
        for _ in range(2):
            bfd.watch({PATH: Settings()})
            await eventually(processes, bool)
            bfd.watch({})
            await eventually(processes, lambda found: not found)
    assert not [event for event in events if isinstance(event, WorkerRestarted)]


async def test_a_process_that_dies_is_replaced(cable: RouterLink) -> None:
    async with running() as (bfd, events):
        bfd.watch({PATH: Settings()})
        (first,) = await eventually(processes, bool)
        os.kill(first, signal.SIGKILL)
        await eventually(processes, lambda found: found not in ([], [first]))

        assert WorkerRestarted(-signal.SIGKILL) in events
    assert await processes() == []


async def test_counters_and_socket_errors_are_reported(cable: RouterLink) -> None:
    taken = Listener(Place(4, Port.SINGLE_HOP))

    async def reported() -> list[BfdEvent | WorkerEvent]:
        return events

    async with running() as (bfd, events):
        bfd.watch({PATH: Settings()})
        failed = SocketsFailed(("UDP port 3784 of IPv4: Address already in use",))
        await eventually(reported, lambda seen: failed in seen)
        await eventually(
            reported, lambda seen: any(isinstance(e, Counted) and e.path == PATH for e in seen)
        )
        taken.close()
        await eventually(reported, lambda seen: SocketsFailed(()) in seen)


async def test_thousands_of_sessions_are_held_and_reported(cable: RouterLink) -> None:
    first = int(ip_address("10.78.0.0"))
    paths = [Path(ip_address(first + number), multihop=True) for number in range(5000)]
    async with running() as (bfd, events):
        bfd.watch(dict.fromkeys(paths, Settings(passive=True)))
        counted: set[Path] = set()

        async def reported() -> int:
            counted.update(event.path for event in events if isinstance(event, Counted))
            return len(counted)

        await eventually(reported, lambda count: count == len(paths), 60.0)
        # A change of one among them reaches the same process.
        (process,) = await processes()
        bfd.watch({PATH: Settings()} | dict.fromkeys(paths, Settings(passive=True)))
        await eventually(reported, lambda count: count == len(paths) + 1, 60.0)
        assert await processes() == [process]
    assert not [event for event in events if isinstance(event, WorkerRestarted)]


async def test_sessions_up_to_the_limit_are_held(
    cable: RouterLink,
) -> None:
    first = int(ip_address("10.78.0.0"))
    paths = [PATH, *(Path(ip_address(first + n), multihop=True) for n in range(SESSIONS))]

    async with running() as (bfd, events):
        assert bfd.watch(dict.fromkeys(paths, Settings(passive=True))) == SESSIONS

        async def counted() -> bool:
            return any(isinstance(event, Counted) and event.path == PATH for event in events)

        await eventually(counted, bool, 60.0)
