"""The HTTP server on loopback, against clients that are slow, silent, greedy or many."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from support.net.waiting import TIMEOUT

from metallb_py.runtime.connections import Limits
from metallb_py.runtime.http_server import (
    HEAD_BYTES,
    HttpServer,
    Request,
    Response,
    Timeouts,
    listen,
)
from metallb_py.runtime.log import Level, Logger
from metallb_py.runtime.pki import Authority, Identity

HOST = "127.0.0.1"
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
# Short, so that a test can wait for them to expire; the servers of other tests have LONG.
BRIEF = Timeouts(handshake=0.3, head=0.3, body=0.3, write=0.3, idle=0.3)
LONG = Timeouts(handshake=600, head=600, body=600, write=600, idle=600)
LIMITS = Limits(connections=16, per_source=8, body_bytes=1 << 20)
MAX_BODY = 1 << 20
LARGE = b"x" * (16 << 20)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(request: Request) -> Response:
    if request.head.path == "/large":
        return Response(LARGE)
    if request.head.path == "/names":
        return Response(",".join(sorted(request.names or {"-"})).encode())
    if request.head.path == "/bug":
        raise ZeroDivisionError
    if request.head.path == "/empty":
        return Response(b"", HTTPStatus.NOT_FOUND)
    return Response(request.body or b"ok")


class Served:
    """A server, and its log."""

    def __init__(self, port: int, log: list[str]) -> None:
        self.port = port
        self.log = log

    async def open(self, data: bytes = b"", tls: ssl.SSLContext | None = None) -> Streams:
        streams = await asyncio.open_connection(HOST, self.port, ssl=tls)
        streams[1].write(data)
        return streams

    async def request(
        self, data: bytes = GET, tls: ssl.SSLContext | None = None
    ) -> tuple[int, bytes]:
        """Send a request as a well-behaved client does; return the status and the body."""
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await self.open(data, tls)
            try:
                return await answer(reader)
            finally:
                writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    return int(head.split()[1]), await reader.readexactly(int(length.split()[1]))


async def is_closed(streams: Streams) -> bool:
    """Wait until the server has closed a connection."""
    async with asyncio.timeout(TIMEOUT):
        try:
            while await streams[0].read(1 << 16):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
    streams[1].close()
    return True


@asynccontextmanager
async def serving(
    timeouts: Timeouts = LONG,
    limits: Limits = LIMITS,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Served]:
    log: list[str] = []
    server = HttpServer(
        echo,
        Logger(Level.ALL, log.append),
        limits=limits,
        timeouts=timeouts,
        max_body=MAX_BODY,
        tls=(lambda: tls) if tls else None,
    )
    listeners = await listen(HOST, 0)
    task = asyncio.create_task(server.run(listeners))
    try:
        yield Served(listeners[0].getsockname()[1], log)
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


def post(body: bytes, *fields: str) -> bytes:
    lines = ["POST / HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_keep_alive_connection_serves_requests_in_order() -> None:
    async with serving() as served:
        reader, writer = await served.open(GET + post(b"hello") + b"\r\n" + GET)
        answers = [await answer(reader) for _ in range(3)]
        assert answers == [(200, b"ok"), (200, b"hello"), (200, b"ok")]
        writer.write(b"HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        head = await reader.readuntil(b"\r\n\r\n")
        assert f"Content-Length: {len(LARGE)}".encode() in head
        assert await answer(reader) == (200, b"ok"), "no body came before it"
        writer.write(GET.replace(b"Host: a", b"Host: a\r\nConnection: close"))
        assert await answer(reader) == (200, b"ok")
        assert await is_closed((reader, writer))


async def test_a_large_body_after_100_continue() -> None:
    async with serving() as served:
        body = b"y" * (MAX_BODY // 2)
        whole = post(body, "Expect: 100-continue")
        reader, writer = await served.open(whole.removesuffix(body))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert await answer(reader) == (200, body)
        writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 2 * HEAD_BYTES + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (post(b"z" * (MAX_BODY + 1)), 413),
    ],
)
async def test_error_response_arrives_while_the_client_still_sends(
    data: bytes, status: int
) -> None:
    async with serving() as served:
        assert (await served.request(data))[0] == status
        assert await served.request() == (200, b"ok")


@pytest.mark.parametrize(
    "data",
    [b"", b"GET", GET[:-2], post(b"hello")[:-1], GET, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"],
    ids=["silent", "request line", "head", "body", "idle", "does not read"],
)
async def test_stalled_connection_is_closed_at_its_timeout(data: bytes) -> None:
    async with serving(BRIEF) as served:
        with socket.create_connection((HOST, served.port)) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(client, data)
            await gone(client)


async def gone(client: socket.socket) -> None:
    """Wait until the other end is closed, without reading what it sent before."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                client.send(b"")
                state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            except OSError:
                return
            if state != 1:  # TCP_ESTABLISHED
                return
            await asyncio.sleep(0.02)


async def test_a_trickle_of_single_bytes_is_closed() -> None:
    async with serving(BRIEF) as served:
        reader, writer = await served.open()
        closed = asyncio.create_task(is_closed((reader, writer)))
        while not closed.done():
            writer.write(b"G")
            await asyncio.sleep(0.05)
        assert closed.result()


async def test_stalled_tls_handshake_is_closed(tmp_path: Path) -> None:
    _, context = certified(tmp_path)
    async with serving(BRIEF, tls=context) as served:
        silent = await served.open()
        partial = await served.open(b"\x16\x03\x01\x02\x00\x01")
        assert await is_closed(silent)
        assert await is_closed(partial)


@pytest.mark.parametrize("start", [b"", b"GET / HT", post(b"hello")[:-1]])
async def test_half_open_connections_block_no_client(start: bytes) -> None:
    async with serving() as served:
        stalled = [await served.open(start) for _ in range(500)]
        for _ in range(20):
            assert await served.request() == (200, b"ok")
        first, last = stalled[0], stalled[-1]
        assert await is_closed(first), "the oldest was closed first"
        assert not last[0].at_eof()
        for _, writer in stalled:
            writer.close()


async def test_a_large_response_over_tls(tmp_path: Path) -> None:
    authority, context = certified(tmp_path)
    trusting = ssl.create_default_context(cadata=authority.certificate.decode())
    async with serving(tls=context) as served:
        large = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
        assert await served.request(large, trusting) == (200, LARGE)


async def test_half_open_tls_handshakes_block_no_client(tmp_path: Path) -> None:
    authority, context = certified(tmp_path)
    trusting = ssl.create_default_context(cadata=authority.certificate.decode())
    async with serving(tls=context) as served:
        stalled = [await served.open() for _ in range(300)]
        assert await served.request(tls=trusting) == (200, b"ok")
        for _, writer in stalled:
            writer.close()


async def test_stalled_bodies_share_one_budget() -> None:
    async with serving(limits=Limits(connections=64, per_source=64, body_bytes=1 << 20)) as served:
        whole = post(b"z" * MAX_BODY)
        half = whole[: len(whole) - MAX_BODY // 2]
        stalled = [await served.open(half) for _ in range(8)]
        for streams in stalled[:5]:
            assert await is_closed(streams), "there is room for two halves"
        assert (await served.request(post(b"w" * (MAX_BODY // 2))))[0] == 200
        for _, writer in stalled:
            writer.close()


async def test_handler_exception_closes_its_connection_and_is_logged() -> None:
    async with serving() as served:
        for _ in range(20):
            broken = await served.open(b"GET /bug HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await is_closed(broken)
        assert await served.request() == (200, b"ok")
        lines = [json.loads(line) for line in served.log]
        assert [line["error"] for line in lines] == ["ZeroDivisionError"] * len(lines)
        assert 1 <= len(lines) <= 3


async def test_client_certificate_of_the_authority_yields_its_names(
    tmp_path: Path,
) -> None:
    authority, context = certified(tmp_path)
    now = datetime.now(UTC)
    context.load_verify_locations(cadata=authority.certificate.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    names = b"GET /names HTTP/1.1\r\nHost: a\r\n\r\n"

    def client(identity: Identity | None) -> ssl.SSLContext:
        made = ssl.create_default_context(cadata=authority.certificate.decode())
        if identity:
            file = tmp_path / "client.pem"
            file.write_bytes(identity.certificate + identity.key)
            made.load_cert_chain(file)
        return made

    good = authority.issue("kube-apiserver", ["x"], now, timedelta(days=1))
    untrusted = Authority.create("other", now, timedelta(days=1))
    bad = untrusted.issue("kube-apiserver", ["x"], now, timedelta(days=1))
    async with serving(tls=context) as served:
        assert await served.request(names, client(good)) == (200, b"kube-apiserver")
        assert await served.request(names, client(None)) == (200, b"-")
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            await served.request(names, client(bad))


def certified(tmp_path: Path) -> tuple[Authority, ssl.SSLContext]:
    now = datetime.now(UTC)
    authority = Authority.create("test", now, timedelta(days=1))
    identity = authority.issue("server", [HOST], now, timedelta(days=1))
    file = tmp_path / "server.pem"
    file.write_bytes(identity.certificate + identity.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return authority, context


# In a process of its own, whose memory is the server's alone; with the webhook's limits.
STALLED = """
import asyncio, ssl, sys
from controller.drivers.webhook import LIMITS, MAX_BODY_BYTES
from metallb_py.runtime.http_server import HttpServer, Response, listen
from metallb_py.runtime.log import Logger

async def ok(_):
    return Response(b"ok")

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    (listener,) = await listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    server = HttpServer(
        ok, Logger(), limits=LIMITS, max_body=MAX_BODY_BYTES, tls=lambda: context)
    await server.run([listener])

asyncio.run(main())
"""


async def test_stalled_bodies_use_bounded_memory(tmp_path: Path) -> None:
    authority, _ = certified(tmp_path)
    trusting = ssl.create_default_context(cadata=authority.certificate.decode())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STALLED, str(tmp_path / "server.pem"), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    served = Served(int(await process.stdout.readline()), [])
    before = peak_of(process.pid)
    size = 8 << 20
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()

    async def stall() -> asyncio.StreamWriter | None:
        try:
            _, writer = await served.open(head, trusting)
            for _ in range((size >> 16) - 1):
                writer.write(bytes(1 << 16))
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            return None  # the server freed its budget
        return writer

    async with asyncio.timeout(120):
        for _ in range(4):
            stalled = await asyncio.gather(*(stall() for _ in range(24)))
            assert (await served.request(post(bytes(1 << 20)), trusting))[0] == 200
            for writer in stalled:
                if writer is not None:
                    writer.transport.abort()
    assert peak_of(process.pid) - before < 64 << 10, "KiB; four times 24 bodies have 786,432"
    process.kill()
    await process.wait()


def peak_of(pid: int) -> int:
    """Return the largest resident size that a process had, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


# In a process of its own: it uses up its file descriptors, and what it logs is counted.
EXHAUSTED = """
import asyncio, os, resource, socket, sys, time
from metallb_py.runtime.http_server import HttpServer, Response, listen
from metallb_py.runtime.log import Logger

async def ok(_):
    return Response(b"ok")

async def main():
    (listener,) = await listen("127.0.0.1", 0)
    server = HttpServer(ok, Logger())
    task = asyncio.create_task(server.run([listener]))
    await asyncio.sleep(0.1)
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    print(listener.getsockname()[1], file=sys.stderr, flush=True)
    await stdin.read()
    task.cancel()
    await asyncio.wait({task})
    print(time.process_time(), file=sys.stderr, flush=True)

asyncio.run(main())
"""


async def test_file_descriptor_exhaustion_neither_spins_nor_floods_the_log() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        EXHAUSTED,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    async with asyncio.timeout(TIMEOUT):
        served = Served(int(await process.stderr.readline()), [])
        stalled = [await served.open(b"GET") for _ in range(100)]
        for _ in range(10):
            assert await served.request() == (200, b"ok")
        await asyncio.sleep(3)  # a loop that spins would use as much CPU
        assert await served.request() == (200, b"ok")
        process.stdin.close()
        for _, writer in stalled:
            writer.close()
        output, rest = await asyncio.gather(process.stdout.read(), process.stderr.read())  # type: ignore[union-attr]
        assert await process.wait() == 0
    assert float(rest) < 2.0, "seconds of CPU, imports included"
    lines = output.splitlines()
    assert 1 <= len(lines) <= 3
    assert all(b"cannot accept a connection" in line for line in lines)
