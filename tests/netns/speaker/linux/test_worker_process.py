"""Processes that the speaker starts: each is ended in any case, and holds few privileges."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.layer2.client_link import client_link_fixture
from support.net.background import while_running
from support.net.requirements import require
from support.net.waiting import eventually

from metallb_py.protocols.bfd.settings import Path as BfdPath
from metallb_py.protocols.bfd.settings import Settings as BfdSettings
from speaker.bfd.io.client import Bfd, BfdEvent, Counted
from speaker.bfd.io.messages import Configure, PathName, Watch
from speaker.bfd.io.messages import encode as encode_bfd
from speaker.linux.channel import Assembly
from speaker.linux.worker_process import (
    WorkerEvent,
    WorkerNotStarted,
    receive,
    send,
    worker_process,
)
from speaker.responder.io.messages import encode_settings
from speaker.responder.settings import Settings

pytestmark = pytest.mark.netns
MODULE = "speaker.bfd.io.process"

cables = client_link_fixture()


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_stopped_worker_process_is_killed() -> None:
    async with worker_process(MODULE) as (process, _):
        process.send_signal(signal.SIGSTOP)
    assert process.returncode == -signal.SIGKILL
    assert not is_there(process.pid)


async def test_worker_process_is_killed_although_the_wait_is_cancelled() -> None:
    entered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with worker_process(MODULE) as (process, _):
            process.send_signal(signal.SIGSTOP)
            entered.set_result(process.pid)

    task = asyncio.create_task(run())
    pid = await entered
    task.cancel()  # while it waits for a stopped process
    await asyncio.wait({task})
    assert task.cancelled()
    assert not is_there(pid)


@pytest.mark.usefixtures("cables")  # without an interface the responder has nothing to report
@pytest.mark.parametrize(
    ("module", "arguments", "capabilities"),
    [
        (MODULE, (), 0),
        ("speaker.responder.io.process", (encode_settings(Settings()),), 1 << 13),  # NET_RAW
    ],
)
async def test_worker_process_has_no_secrets_and_minimal_privileges(
    monkeypatch: pytest.MonkeyPatch, module: str, arguments: tuple[str, ...], capabilities: int
) -> None:
    require(os.geteuid() == 0, "root, to have privileges to drop")
    monkeypatch.setenv("METALLB_ML_SECRET_KEY", "a secret")
    monkeypatch.setenv("SOMETHING_ELSE", "not for worker processes")
    before = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(before, True)
    try:
        async with worker_process(module, *arguments) as (process, control):
            if module == MODULE:  # which has nothing to report before there is a session
                watch = Watch(PathName.of(BfdPath(ip_address("192.0.2.1"))), BfdSettings())
                await send(control, encode_bfd(Configure((watch,))))
            assert await asyncio.wait_for(receive(control, Assembly()), 30.0)
            there = Path(f"/proc/{process.pid}")
            fields = (line.partition(":") for line in (there / "status").read_text().splitlines())
            status = {name: value.split() for name, _, value in fields}
            variables = (there / "environ").read_bytes()
            opened = [str(each.readlink()) for each in (there / "fd").iterdir()]
    finally:
        os.close(before)

    assert b"secret" not in variables
    assert b"SOMETHING_ELSE" not in variables
    assert opened.count("/dev/null") <= 3  # at most its standard streams
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    assert status["Uid"] == status["Gid"] == ["65534"] * 4
    assert status["Groups"] == []
    assert int(status["CapEff"][0], 16) == int(status["CapPrm"][0], 16) == capabilities


async def test_file_descriptor_exhaustion_is_retried_and_ends_no_task() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    events: list[BfdEvent | WorkerEvent] = []
    bfd = Bfd()
    bfd.watch({BfdPath(ip_address("192.0.2.1")): BfdSettings()})
    async with while_running(bfd.run(events.append)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            await eventually(reader_of(events), lambda seen: len(seen) >= 2)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert all(isinstance(event, WorkerNotStarted) for event in events)
        await eventually(reader_of(events), lambda seen: any(isinstance(e, Counted) for e in seen))


def reader_of(
    events: list[BfdEvent | WorkerEvent],
) -> Callable[[], Awaitable[list[BfdEvent | WorkerEvent]]]:
    async def read() -> list[BfdEvent | WorkerEvent]:
        return events

    return read
