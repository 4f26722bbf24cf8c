"""The daemons' page, on loopback."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
from support.ports import free_port

from metallb_py.runtime.httpd import Httpd


async def test_the_metrics_page() -> None:
    port = free_port()
    page = Httpd("127.0.0.1", port, lambda: (b"metallb 1\n", "text/plain; version=0.0.4"))
    errors: list[OSError] = []
    task = asyncio.create_task(page.run(errors.append))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with asyncio.timeout(5):
            while True:
                try:
                    async with session.get("/metrics") as answer:
                        assert await answer.read() == b"metallb 1\n"
                        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
                        break
                except aiohttp.ClientConnectorError:
                    await asyncio.sleep(0.01)
        async with session.get("/other") as answer:
            assert answer.status == 404
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not errors


async def test_a_port_that_is_taken_is_told_and_no_reason_to_end() -> None:
    told: asyncio.Queue[OSError] = asyncio.Queue()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        page = Httpd("127.0.0.1", taken.getsockname()[1], lambda: (b"", "text/plain"))
        task = asyncio.create_task(page.run(told.put_nowait))
        async with asyncio.timeout(5):
            assert "in use" in str(await told.get())
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
