"""Statuses written to an API server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

from support.kube.api import Api, connected, running_api

from controller.drivers.service_status import (
    RetryDue,
    StatusEvent,
    StatusWriter,
    WriteFailed,
    Written,
)
from controller.effects import POOL_ANNOTATION, WriteStatus
from metallb_py.addresses import IPAddress
from metallb_py.errors import ConflictError
from metallb_py.kube.objects import Service

ONE, TWO = (ip_address("192.0.2.1"),), (ip_address("192.0.2.2"),)


def status_write(service: Service, addresses: tuple[IPAddress, ...]) -> WriteStatus:
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
        writer.write(status_write(api.service("web"), ONE + TWO))
        assert await events.get() == Written("default/web")
        assert api.ips("web") == ["192.0.2.1", "192.0.2.2"]
        assert api.service("web").metadata.annotation(POOL_ANNOTATION) == "blue"
        writer.write(status_write(api.service("web"), ()))
        assert await events.get() == Written("default/web")
        assert api.ips("web") == []
        assert api.service("web").metadata.annotation(POOL_ANNOTATION) == ""


async def test_latest_status_wins(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("web")
        writer.write(status_write(api.service("web"), ONE))
        writer.write(status_write(api.service("web"), TWO))
        assert await events.get() == Written("default/web")
        assert api.ips("web") == ["192.0.2.2"]
        assert events.empty()


async def test_write_on_an_old_resource_version_conflicts_and_is_reported(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("web")
        old = api.service("web")
        writer.write(status_write(old, ONE))
        assert await events.get() == Written("default/web")
        writer.write(status_write(old, TWO))
        event = await events.get()
        assert isinstance(event, WriteFailed)
        assert isinstance(event.error, ConflictError)
        assert await events.get() == RetryDue("default/web")
        assert api.ips("web") == ["192.0.2.1"]


async def test_recreated_service_gets_no_status_of_the_old_one(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("web")
        old = api.service("web")
        await api.delete_service("web")
        await api.add_service("web")
        writer.write(status_write(old, ONE))
        assert isinstance(await events.get(), WriteFailed)
        assert api.ips("web") == []


async def test_deleted_service_is_not_reported(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, writing(api) as (writer, events):
        await api.add_service("gone")
        await api.add_service("web")
        gone = api.service("gone")
        await api.delete_service("gone")
        writer.write(status_write(gone, ONE))
        writer.write(status_write(api.service("web"), TWO))
        assert await events.get() == Written("default/web")
        assert events.empty()
