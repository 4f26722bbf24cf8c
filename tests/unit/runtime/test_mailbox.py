"""Queue of calls that the owner of a daemon's state runs."""

from __future__ import annotations

import asyncio

import pytest

from metallb_py.runtime import mailbox as module
from metallb_py.runtime.mailbox import CAPACITY, Mailbox


async def test_calls_run_in_order() -> None:
    seen: list[int] = []
    mailbox = Mailbox()
    post = mailbox.handler(seen.append)
    for number in range(300):
        await post(number)
    runner = asyncio.create_task(mailbox.run())
    done = asyncio.Event()
    await mailbox.handler(lambda _: done.set())(None)
    await done.wait()
    runner.cancel()
    assert seen == list(range(300))


async def test_post_into_a_full_mailbox_waits() -> None:
    mailbox = Mailbox()
    post = mailbox.handler(lambda _: None)
    for number in range(CAPACITY):
        await post(number)
    waiting = asyncio.create_task(post(CAPACITY))
    await asyncio.sleep(0)
    assert not waiting.done()
    runner = asyncio.create_task(mailbox.run())
    await waiting
    runner.cancel()


async def test_other_tasks_run_while_the_mailbox_never_empties() -> None:
    mailbox = Mailbox()
    turns = 0

    async def flood() -> None:
        post = mailbox.handler(lambda _: None)
        while True:
            await post(None)

    flooder = asyncio.create_task(flood())
    runner = asyncio.create_task(mailbox.run())
    for _ in range(10):
        await asyncio.sleep(0)
        turns += 1
    flooder.cancel()
    runner.cancel()
    assert turns == 10


async def test_a_call_that_raises_ends_the_run() -> None:
    mailbox = Mailbox()

    def broken(_: object) -> None:
        raise RuntimeError("a bug")

    await mailbox.handler(broken)(None)
    with pytest.raises(RuntimeError, match="a bug"):
        await mailbox.run()


async def test_mailbox_is_stuck_when_calls_wait_and_none_is_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STUCK_SECONDS", 0.0)
    mailbox = Mailbox()
    post = mailbox.handler(lambda _: None)
    assert not mailbox.is_stuck, "nothing waits"
    await post(1)
    assert mailbox.is_stuck, "no task runs it"
    runner = asyncio.create_task(mailbox.run())
    while mailbox.is_stuck:
        await asyncio.sleep(0)
    monkeypatch.setattr(module, "STUCK_SECONDS", 30.0)
    await post(2)
    assert not mailbox.is_stuck, "the wait counts from the post, however long the mailbox was empty"
    runner.cancel()
