"""Streams from unknown sources to a member: they block no member, and use bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest
from support.gossip.running_member import RunningMember, endpoint, membership, running
from support.net.waiting import TIMEOUT

from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.envelope import Drop
from metallb_py.protocols.memberlist.codec.messages import (
    NodeState,
    Ping,
    PushPull,
    State,
    Versions,
)
from metallb_py.protocols.memberlist.events import Joined, JoinFailed
from metallb_py.protocols.memberlist.inbound import Limits
from speaker.membership.io.inbound import RETRY

pytestmark = pytest.mark.netns
PORT = 17948
ONE, TWO = ("127.0.3.1", PORT), ("127.0.3.2", PORT)
SECRET = b"quite secret"
CROWD = 200
LARGE_STREAMS = 64
MIB = 1 << 20
ONE_SOURCE = ["127.0.4.1"] * CROWD
MANY_SOURCES = [f"127.0.5.{number}" for number in range(1, CROWD + 1)]


async def connect(source: str, where: tuple[str, int] = ONE) -> socket.socket:
    """Connect from an address, and send nothing."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException:
        made.close()
        raise
    return made


async def join(two: RunningMember, one: RunningMember) -> None:
    """Join; retry failed joins as a speaker does."""
    while not two.events(Joined):
        failures = len(two.events(JoinFailed))
        two.node.join([one.endpoint])
        await two.until(lambda n=failures: two.events(Joined) or len(two.events(JoinFailed)) > n)


@contextlib.asynccontextmanager
async def holding(sources: Iterable[str]) -> AsyncIterator[list[socket.socket]]:
    """Hold a connection from each of these sources; reopen each that is closed."""
    held: dict[int, socket.socket] = {}

    async def keep(number: int, source: str) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError):
                await loop.sock_recv(held[number], 1)
            held[number].close()
            await asyncio.sleep(0.1)
            with contextlib.suppress(OSError):
                held[number] = await connect(source)

    tasks: list[asyncio.Task[None]] = []
    try:
        for number, source in enumerate(sources):
            held[number] = await connect(source)
        tasks += [asyncio.create_task(keep(*each)) for each in enumerate(sources)]
        yield list(held.values())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in held.values():
            each.close()


@pytest.mark.parametrize("sources", [ONE_SOURCE, MANY_SOURCES], ids=["one source", "many sources"])
@pytest.mark.parametrize("secret", [b"", SECRET], ids=["plain", "encrypted"])
async def test_idle_connections_block_no_member(sources: list[str], secret: bytes) -> None:
    made = membership("one", endpoint(*ONE), secret=secret)
    async with running(made) as one, holding(sources):
        for _ in range(5):
            async with running(membership("two", endpoint(*TWO), secret=secret)) as two:
                await join(two, one)
                assert two.alive() >= {"one", "two"}


async def test_expected_member_joins_despite_many_unknown_sources() -> None:
    async with running(membership("one", endpoint(*ONE))) as one:
        one.node.expect({"two": frozenset({endpoint(*TWO).address})})
        two_is = membership("two", endpoint(*TWO))
        async with holding(ONE_SOURCE + MANY_SOURCES), running(two_is) as two:
            await join(two, one)


async def test_idle_or_slow_stream_is_closed_at_its_timeout() -> None:
    limits = Limits.within(membership("x", endpoint(*ONE)).settings.tcp_timeout)
    loop = asyncio.get_running_loop()
    async with running(membership("one", endpoint(*ONE))):
        silent, slow = await connect("127.0.4.1"), await connect("127.0.4.2")
        began = loop.time()

        async def trickle() -> float:
            with contextlib.suppress(OSError):
                for byte in encode(Ping(1, "x" * 200)):
                    await loop.sock_sendall(slow, bytes((byte,)))
                    await asyncio.sleep(limits.idle_timeout / 4)
            return loop.time() - began

        trickling = asyncio.create_task(trickle())
        async with asyncio.timeout(TIMEOUT):
            with contextlib.suppress(OSError):
                assert await loop.sock_recv(silent, 1) == b""
            assert limits.idle_timeout * 0.9 < loop.time() - began
            assert limits.total_timeout * 0.9 < await trickling
        silent.close()
        slow.close()


async def test_source_that_connects_too_often_is_refused() -> None:
    async with running(membership("one", endpoint(*ONE))) as one:
        async with asyncio.timeout(TIMEOUT):
            while not one.dropped()[Drop.LIMITED]:
                (await connect("127.0.4.1")).close()


async def test_accept_is_retried_after_file_descriptor_exhaustion(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    request = encode(Ping(7, "one"))
    async with running(membership("one", endpoint(*ONE))), exhausted_descriptors() as free_one:
        stream = await connect("127.0.4.1")  # by the last descriptor; none is left to accept it
        await loop.sock_sendall(stream, request)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5 * RETRY):
                await loop.sock_recv(stream, 1)
        free_one()
        async with asyncio.timeout(TIMEOUT):
            assert await loop.sock_recv(stream, 1)
        stream.close()
    assert not caplog.records


@contextlib.asynccontextmanager
async def exhausted_descriptors() -> AsyncIterator[Callable[[], None]]:
    """Use all file descriptors of this process but one; yield a function that frees one more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, limits[1]), limits[1]))
    taken: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        os.close(taken.pop())
        yield lambda: os.close(taken.pop())
    finally:
        for each in taken:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def large(kind: str) -> bytes:
    """Return an almost complete stream of almost the maximum size."""
    if kind == "encrypted":
        return b"\x0a" + (2 * MIB - 100).to_bytes(4) + bytes(2 * MIB - 1000)
    if kind == "compressed":
        return (
            b"\x09\x82\xa4Algo\x00\xa3Buf\xdb" + (2 * MIB - 100).to_bytes(4) + bytes(2 * MIB - 1000)
        )
    state = NodeState("n", endpoint(*ONE), 1, State.ALIVE, versions=Versions(*[0] * 6))
    one = encode(PushPull((state,)))
    head = encode(PushPull(()))
    body = one[len(head) :]
    count = 19_000
    return head.replace(b"Nodes\x00", b"Nodes\xcd" + count.to_bytes(2)) + body * (count - 1)


def resident(process: int) -> int:
    """Return the resident memory of a process, in bytes."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@contextlib.asynccontextmanager
async def member_process(*options: str) -> AsyncIterator[int]:
    """Run a member in a process of its own, to measure its memory apart from the test's."""
    program = Path(__file__).parents[4] / "support" / "gossip" / "member_program.py"
    command = [sys.executable, str(program), "-bind", ONE[0], "-port", str(PORT), *options]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, **pipes)
    try:
        async with asyncio.timeout(TIMEOUT):
            assert b"started" in await process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("kind", ["encrypted", "compressed", "many members"])
async def test_large_streams_use_bounded_memory(kind: str) -> None:
    options = ("-key", "00" * 16) if kind == "encrypted" else ()
    data = large(kind)
    loop = asyncio.get_running_loop()
    async with member_process(*options) as process:
        before = highest = resident(process)
        opened = [await connect(f"127.0.6.{n + 1}") for n in range(LARGE_STREAMS)]

        async def send(stream: socket.socket) -> None:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(stream, data)
                await loop.sock_recv(stream, 1)

        sending = [asyncio.create_task(send(stream)) for stream in opened]
        async with asyncio.timeout(TIMEOUT):
            while not all(task.done() for task in sending):
                await asyncio.sleep(0.02)
                highest = max(highest, resident(process))
        for stream in opened:
            stream.close()
    print(f"{kind}: {(highest - before) / MIB:.1f} MiB more for {LARGE_STREAMS} streams")
    assert highest - before < 32 * MIB


async def test_member_joins_while_unknown_sources_send_large_streams() -> None:
    data = large("many members")
    loop = asyncio.get_running_loop()
    async with running(membership("one", endpoint(*ONE))) as one, asyncio.TaskGroup() as group:
        one.node.expect({"two": frozenset({endpoint(*TWO).address})})

        async def flood(source: str) -> None:
            while True:
                with contextlib.suppress(OSError), await connect(source) as stream:
                    await loop.sock_sendall(stream, data)
                    await loop.sock_recv(stream, 1)
                await asyncio.sleep(0.1)

        floods = [group.create_task(flood(f"127.0.6.{n + 1}")) for n in range(LARGE_STREAMS)]
        async with running(membership("two", endpoint(*TWO))) as two:
            await join(two, one)
        for task in floods:
            task.cancel()
