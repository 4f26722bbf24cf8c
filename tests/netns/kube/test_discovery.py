"""Discovery of the endpoints API of a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from support.kube.api import connected, running_api

from metallb_py.kube.discovery import has_slices


async def test_current_server_has_endpoint_slices(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        assert await has_slices(client)


async def test_old_server_has_no_endpoint_slices(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        await api.start(web.Application())
        assert not await has_slices(client)


@pytest.mark.parametrize("old", [True, False])
async def test_discovery_is_retried_until_the_server_answers(tmp_path: Path, old: bool) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        pending = asyncio.create_task(has_slices(client))
        await asyncio.wait([pending], timeout=0.3)
        assert not pending.done()
        await api.start(web.Application() if old else None)
        assert await pending is not old
