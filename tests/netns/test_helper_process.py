"""Processes that the speaker starts: each is gone in the end, whatever it does."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from speaker.drivers.helper_process import helper_process

pytestmark = pytest.mark.netns
MODULE = "speaker.drivers.bfd_process"


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_one_that_does_not_see_its_end_is_killed() -> None:
    async with helper_process(MODULE) as (process, _):
        process.send_signal(signal.SIGSTOP)
    assert process.returncode == -signal.SIGKILL
    assert not is_there(process.pid)


async def test_one_is_gone_also_where_its_end_is_not_waited_for() -> None:
    entered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with helper_process(MODULE) as (process, _):
            process.send_signal(signal.SIGSTOP)
            entered.set_result(process.pid)

    task = asyncio.create_task(run())
    pid = await entered
    task.cancel()  # while it waits for a process that stands still
    await asyncio.wait({task})
    assert task.cancelled()
    assert not is_there(pid)
