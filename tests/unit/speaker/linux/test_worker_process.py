"""Exchange of messages with a worker process, and its replacement."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace

import msgspec
import pytest

from speaker.linux import worker_process
from speaker.linux.channel import split
from speaker.linux.worker_process import WorkerEvent, WorkerProcess, WorkerRestarted


class Processes:
    """Processes of which only the channels exist; ``started`` has the process' end of each."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[socket.socket] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def start(self, *_line: str) -> AsyncIterator[tuple[SimpleNamespace, socket.socket]]:
        speaker, process = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with speaker, process:
            for end in (speaker, process):
                end.setblocking(False)
            self.started.put_nowait(process)
            yield SimpleNamespace(returncode=0), speaker


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    made = Processes()
    monkeypatch.setattr(worker_process, "worker_process", made.start)
    return made


class Message(msgspec.Struct):
    """A message of the process."""

    number: int


DECODER = msgspec.msgpack.Decoder(Message)


def decode(message: bytes) -> tuple[int]:
    number = DECODER.decode(message).number
    if number < 0:
        raise ValueError("negative")
    return (number,)


def send(process: socket.socket, message: bytes) -> None:
    for part in split(message):
        process.send(part)


# An unknown field, 100,000 arrays deep: msgspec skips such fields by recursion.
NESTED = b"\x81\xa1x" + b"\x91" * 100_000 + b"\xc0"


@pytest.mark.parametrize(
    "invalid",
    [b"", b"\xc1", msgspec.msgpack.encode(Message(-1)), NESTED],
    ids=["empty", "no MessagePack", "refused by the decoder", "nested"],
)
async def test_a_process_that_sends_an_invalid_message_is_replaced(
    processes: Processes, invalid: bytes
) -> None:
    events: asyncio.Queue[int | WorkerEvent] = asyncio.Queue()
    worker: WorkerProcess[int] = WorkerProcess("worker", commands=lambda _: (), decode=decode)
    running = asyncio.create_task(worker.run(events.put_nowait))
    waiting = asyncio.create_task(events.get())

    send(await processes.started.get(), invalid)
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    assert not running.done()
    assert await waiting == WorkerRestarted(0)
    send(await processes.started.get(), msgspec.msgpack.encode(Message(7)))
    assert await events.get() == 7

    running.cancel()
    await asyncio.wait({running})


async def test_a_process_that_sends_without_a_pause_does_not_block_the_event_loop(
    processes: Processes,
) -> None:
    order: list[object] = []
    worker: WorkerProcess[int] = WorkerProcess("worker", commands=lambda _: (), decode=decode)
    running = asyncio.create_task(worker.run(order.append))
    process = await processes.started.get()
    for number in range(20):
        send(process, msgspec.msgpack.encode(Message(number)))
    while len(order) < 2 or order[-1] != 19:
        order.append("other task")
        await asyncio.sleep(0)

    assert [event for event in order if event != "other task"] == list(range(20))
    assert "other task" in order[order.index(0) : order.index(19)]

    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize("turns", range(4))
async def test_a_process_ended_as_not_needed_has_not_died_although_it_is_needed_again(
    processes: Processes, turns: int
) -> None:
    events: list[int | WorkerEvent] = []
    worker: WorkerProcess[int] = WorkerProcess("worker", commands=lambda _: (), decode=decode)
    running = asyncio.create_task(worker.run(events.append))
    await processes.started.get()
    await asyncio.sleep(0)

    worker.update(needed=False)
    for _ in range(turns):
        await asyncio.sleep(0)
    worker.update(needed=True)
    for _ in range(20):
        await asyncio.sleep(0)
    assert events == []
    assert worker.is_running

    running.cancel()
    await asyncio.wait({running})
