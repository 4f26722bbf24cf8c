"""Embedded API server as a program: ``python -m metallb_py.lab.apiserver ADDRESS PORT``."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from metallb_py.lab.apiserver.defaults import BY_KIND, keep_slices
from metallb_py.lab.apiserver.server import ApiServer
from metallb_py.lab.apiserver.store import Store


async def serve(address: str, port: int) -> None:
    """Serve until cancelled."""
    store = Store()
    for name in ("default", "kube-system"):
        await store.create(BY_KIND["Namespace"], "", {"metadata": {"name": name}})
    runner = web.AppRunner(ApiServer(store).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    await keep_slices(store)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
