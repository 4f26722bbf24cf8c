"""The daemons' HTTP port, on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from support.net.ports import free_port
from support.net.waiting import TIMEOUT, retry

from metallb_py.runtime.httpd import Check, Httpd, Page, Sources, Text
from metallb_py.runtime.log import Logger
from speaker.metrics import SpeakerMetrics

TYPE = "text/plain; version=0.0.4"


def static() -> Text:
    return b"metallb 1\n", TYPE


class Daemon:
    """State that a daemon serves; tests change it."""

    def __init__(self) -> None:
        self.live = [Check("state", ok=True)]
        self.ready = [Check("synced", ok=True), Check("config", ok=False, detail="none yet")]
        self.render = static

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[aiohttp.ClientSession]:
        port = free_port()
        sources = Sources(lambda: self.render, lambda: self.live, lambda: self.ready)
        errors: list[OSError] = []
        page = Httpd("127.0.0.1", port, sources, Logger())
        task = asyncio.create_task(page.run(errors.append))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await retry(lambda: session.get("/healthz"), aiohttp.ClientConnectorError)
            yield session
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not errors


async def test_the_metrics_page() -> None:
    async with Daemon().serving() as session:
        async with session.get("/metrics") as answer:
            assert await answer.read() == b"metallb 1\n"
            assert answer.headers["Content-Type"] == TYPE
        async with session.head("/metrics") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "10")
        async with session.get("/other") as answer:
            assert answer.status == 404
        async with session.post("/metrics") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        async with session.post("/metrics", data=b"x") as answer:
            assert answer.status == 413


async def test_the_probes_name_each_check() -> None:
    daemon = Daemon()
    async with daemon.serving() as session:
        async with session.get("/healthz") as answer:
            assert answer.status == 200
            assert await answer.text() == "[+]state ok\nhealthz check passed\n"
        async with session.get("/readyz?verbose") as answer:
            assert answer.status == 503
            text = "[+]synced ok\n[-]config failed: none yet\nreadyz check failed\n"
            assert await answer.text() == text
        daemon.ready = [Check("config", ok=True)]
        async with session.get("/readyz") as answer:
            assert answer.status == 200


async def test_concurrent_scrapes_share_one_page() -> None:
    started: list[int] = []
    go_on = threading.Event()

    def slow() -> Text:
        started.append(1)
        assert go_on.wait(TIMEOUT)
        return static()

    page = Page(lambda: slow)
    requests = [asyncio.create_task(page.text()) for _ in range(50)]
    while not started:
        await asyncio.sleep(0.01)
    requests[0].cancel()
    go_on.set()
    results = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError), "the first client disconnected"
    assert results[1:] == [static()] * 49
    assert len(started) == 1
    assert await page.text() == static()
    assert len(started) == 1, "a page that took long is cached for a while"


async def test_event_loop_runs_while_metrics_of_10000_addresses_render() -> None:
    metrics = SpeakerMetrics()
    for number in range(10_000):
        ip = f"10.0.{number >> 8}.{number & 255}"
        metrics.set_announced(f"default/web-{number}", "layer2", "node1", [ip])
        for counter in (metrics.layer2_requests, metrics.layer2_responses):
            counter.add(number, ip)
    page = Page(lambda: metrics.render)
    requests = asyncio.create_task(page.text())
    turns = 0
    while not requests.done():
        turns += 1
        await asyncio.sleep(0)
    text, _ = await requests
    assert text.count(b"metallb_speaker_announced{") == 10_000
    assert turns > 5, "rendering on the event loop would leave none"


async def test_port_in_use_is_reported_once_and_retried() -> None:
    reported: asyncio.Queue[OSError] = asyncio.Queue()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sources = Sources(lambda: static, tuple, tuple)
        port = taken.getsockname()[1]
        task = asyncio.create_task(
            Httpd("127.0.0.1", port, sources, Logger()).run(reported.put_nowait)
        )
        async with asyncio.timeout(TIMEOUT):
            assert "in use" in str(await reported.get())
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        answer = await retry(lambda: session.get("/metrics"), aiohttp.ClientConnectorError)
        assert await answer.read() == b"metallb 1\n"
    assert reported.empty()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
