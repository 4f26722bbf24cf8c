"""Statuses written to an API server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

from support.api import Api, connected, running_api

from controller.drivers.service_status import StatusEvent, StatusWriter, WriteFailed, Written
from controller.effects import POOL_ANNOTATION, WriteStatus
from metallb_py.addresses import IPAddress
from metallb_py.errors import ConflictError
from metallb_py.kube.objects import Service

ONE, TWO = (ip_address("192.0.2.1"),), (ip_address("192.0.2.2"),)


def wish(service: Service, addresses: tuple[IPAddress, ...]) -> WriteStatus:
    return WriteStatus(service, addresses, "blue" if addresses else "")


@asynccontextmanager
async def writing(api: Api) -> AsyncIterator[tuple[StatusWriter, asyncio.Queue[StatusEvent]]]:
    events: asyncio.Queue[StatusEvent] = asyncio.Queue()
    async with connected(api) as client:
        writer = StatusWriter(client, events.put)
        task = asyncio.create_task(writer.run())
        try:
            yield writer, events
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_addresses_are_written_and_cleared(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("web")
        writer.write(wish(api.service("web"), ONE + TWO))
        assert await events.get() == Written("default/web")
        assert api.ips("web") == ["192.0.2.1", "192.0.2.2"]
        assert api.service("web").metadata.annotation(POOL_ANNOTATION) == "blue"
        writer.write(wish(api.service("web"), ()))
        assert await events.get() == Written("default/web")
        assert api.ips("web") == []
        assert api.service("web").metadata.annotation(POOL_ANNOTATION) == ""


async def test_the_latest_wish_wins(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("web")
        writer.write(wish(api.service("web"), ONE))
        writer.write(wish(api.service("web"), TWO))
        assert await events.get() == Written("default/web")
        assert api.ips("web") == ["192.0.2.2"]
        assert events.empty()


async def test_a_write_on_an_old_version_is_refused_and_told(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("web")
        old = api.service("web")
        writer.write(wish(old, ONE))
        assert await events.get() == Written("default/web")
        writer.write(wish(old, TWO))
        event = await events.get()
        assert isinstance(event, WriteFailed)
        assert isinstance(event.error, ConflictError)
        assert api.ips("web") == ["192.0.2.1"]


async def test_a_service_made_anew_is_not_written_for_the_old_one(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("web")
        old = api.service("web")
        await api.delete_service("web")
        await api.add_service("web")
        writer.write(wish(old, ONE))
        assert isinstance(await events.get(), WriteFailed)
        assert api.ips("web") == []


async def test_a_service_that_is_gone_is_nothing_to_tell(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("gone")
        await api.add_service("web")
        gone = api.service("gone")
        await api.delete_service("gone")
        writer.write(wish(gone, ONE))
        writer.write(wish(api.service("web"), TWO))
        assert await events.get() == Written("default/web")
        assert events.empty()
