"""Which endpoints API a server has."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from support.api import connected, running_api

from metallb_py.kube.discovery import has_slices


async def test_a_current_server_has_slices(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        assert await has_slices(client)


async def test_an_old_server_has_none(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        await api.start(web.Application())
        assert not await has_slices(client)


@pytest.mark.parametrize("old", [True, False])
async def test_a_server_that_is_away_is_asked_until_it_answers(tmp_path: Path, old: bool) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.stop()
        asking = asyncio.create_task(has_slices(client))
        await asyncio.wait([asking], timeout=0.3)
        assert not asking.done()
        await api.start(web.Application() if old else None)
        assert await asking is not old
