"""A complete controller in the test process, and its HTTP pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from support.kube.api import HOST, Api

from controller.options import Options
from controller.orphaned_addresses import OrphanPolicy
from controller.replica import run
from metallb_py.runtime.flags import CommonOptions
from metallb_py.runtime.log import Level


def options(
    api: Api, policy: OrphanPolicy = OrphanPolicy.DRAIN, lease_seconds: int = 0, port: int = 0
) -> Options:
    """Return the options of a controller for this server; ``port`` is that of its metrics page."""
    common = CommonOptions("", port, "config", "metallb-system", str(api.kubeconfig), Level.INFO)
    return Options(common, "", orphaned_addresses=policy, lease_seconds=lease_seconds)


@asynccontextmanager
async def controlling(
    api: Api, policy: OrphanPolicy = OrphanPolicy.DRAIN, lease_seconds: int = 0, port: int = 0
) -> AsyncIterator[None]:
    """Run a controller for the length of a block, and shut it down."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(options(api, policy, lease_seconds, port), stop))
    try:
        yield
    finally:
        stop.set()
        assert await task == 0


class Page(NamedTuple):
    """A response of the controller's HTTP server."""

    status: int
    text: str


async def page(port: int, path: str = "metrics") -> Page:
    """Return one of the controller's pages; status 0 while it does not listen."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{HOST}:{port}/{path}") as answer,
        ):
            return Page(answer.status, await answer.text())
    except aiohttp.ClientConnectorError as error:
        return Page(0, str(error))
