"""Streams that strangers open to a member: they keep no other out, and cost little memory."""

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
from support.gossip import RunningMember, endpoint, membership, running
from support.patience import PATIENCE

from metallb_py.protocols.memberlist.codec.codec import encode
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
    """Join, and try again as a speaker does where that fails."""
    while not two.events(Joined):
        failures = len(two.events(JoinFailed))
        two.node.join([one.endpoint])
        await two.until(lambda n=failures: two.events(Joined) or len(two.events(JoinFailed)) > n)


@contextlib.asynccontextmanager
async def holding(sources: Iterable[str]) -> AsyncIterator[list[socket.socket]]:
    """Hold a connection from each of these, and open it again when it is closed."""
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
@pytest.mark.parametrize("secret", [b"", SECRET], ids=["plain", "sealed"])
async def test_silent_connections_keep_no_member_out(sources: list[str], secret: bytes) -> None:
    made = membership("one", endpoint(*ONE), secret=secret)
    async with running(made) as one, holding(sources):
        for _ in range(5):
            async with running(membership("two", endpoint(*TWO), secret=secret)) as two:
                await join(two, one)
                assert two.alive() >= {"one", "two"}


async def test_a_member_that_is_expected_joins_however_many_strangers_there_are() -> None:
    async with running(membership("one", endpoint(*ONE))) as one:
        one.node.expect({"two": frozenset({endpoint(*TWO).address})})
        two_is = membership("two", endpoint(*TWO))
        async with holding(ONE_SOURCE + MANY_SOURCES), running(two_is) as two:
            await join(two, one)


async def test_what_is_silent_or_slow_is_closed_in_time() -> None:
    limits = Limits.within(membership("x", endpoint(*ONE)).settings.tcp_timeout)
    loop = asyncio.get_running_loop()
    async with running(membership("one", endpoint(*ONE))):
        silent, slow = await connect("127.0.4.1"), await connect("127.0.4.2")
        began = loop.time()

        async def trickle() -> float:
            with contextlib.suppress(OSError):
                for byte in encode(Ping(1, "x" * 200)):
                    await loop.sock_sendall(slow, bytes((byte,)))
                    await asyncio.sleep(limits.silence / 4)
            return loop.time() - began

        trickling = asyncio.create_task(trickle())
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(OSError):
                assert await loop.sock_recv(silent, 1) == b""
            assert limits.silence * 0.9 < loop.time() - began
            assert limits.whole * 0.9 < await trickling
        silent.close()
        slow.close()


async def test_a_source_that_connects_all_the_time_is_refused() -> None:
    async with running(membership("one", endpoint(*ONE))) as one:
        dropped = one.node.machine.tally.dropped
        async with asyncio.timeout(PATIENCE):
            while not dropped[Drop.LIMITED]:
                (await connect("127.0.4.1")).close()


async def test_out_of_file_descriptors_it_tries_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    question = encode(Ping(7, "one"))
    async with running(membership("one", endpoint(*ONE))), exhausted_descriptors() as one_more:
        stream = await connect("127.0.4.1")  # by the last descriptor; none is left to accept it
        await loop.sock_sendall(stream, question)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5 * RETRY):
                await loop.sock_recv(stream, 1)
        one_more()
        async with asyncio.timeout(PATIENCE):
            assert await loop.sock_recv(stream, 1)
        stream.close()
    assert not caplog.records


@contextlib.asynccontextmanager
async def exhausted_descriptors() -> AsyncIterator[Callable[[], None]]:
    """Take all descriptors of this process but one; yields what gives back another one."""
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
    """Return a stream that is almost whole, of almost as many bytes as one may have."""
    if kind == "sealed":
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
async def member_aside(*options: str) -> AsyncIterator[int]:
    """Run a member in a process of its own, so that its memory can be told from the test's."""
    program = Path(__file__).parents[4] / "support" / "gossip_member.py"
    command = [sys.executable, str(program), "-bind", ONE[0], "-port", str(PORT), *options]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, **pipes)
    try:
        async with asyncio.timeout(PATIENCE):
            assert b"started" in await process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("kind", ["sealed", "compressed", "many members"])
async def test_large_streams_take_a_bounded_memory(kind: str) -> None:
    options = ("-key", "00" * 16) if kind == "sealed" else ()
    data = large(kind)
    loop = asyncio.get_running_loop()
    async with member_aside(*options) as process:
        before = highest = resident(process)
        opened = [await connect(f"127.0.6.{n + 1}") for n in range(LARGE_STREAMS)]

        async def send(stream: socket.socket) -> None:
            with contextlib.suppress(OSError):
                await loop.sock_sendall(stream, data)
                await loop.sock_recv(stream, 1)

        sending = [asyncio.create_task(send(stream)) for stream in opened]
        async with asyncio.timeout(PATIENCE):
            while not all(task.done() for task in sending):
                await asyncio.sleep(0.02)
                highest = max(highest, resident(process))
        for stream in opened:
            stream.close()
    print(f"{kind}: {(highest - before) / MIB:.1f} MiB more for {LARGE_STREAMS} streams")
    assert highest - before < 32 * MIB


async def test_a_member_joins_while_strangers_send_large_streams() -> None:
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
