"""One Lease on an API server on loopback: bodies as sent, and answers to conflicting writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.kube.api import Api, connected, running_api

from metallb_py.errors import ConflictError, NotFoundError
from metallb_py.kube.lease_client import LeaseClient, leases, micro_time
from metallb_py.kube.objects import LeaseSpec
from metallb_py.lab.apiserver.defaults import BY_KIND

NAMESPACE = "metallb-system"
LABELS = {"app": "metallb", "component": "speaker"}
FIRST = LeaseSpec("a", 5, None, "2026-01-01T00:00:00.000000Z")
SECOND = LeaseSpec("b", 2, "2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:02.000000Z", 0)


@asynccontextmanager
async def lease_client(
    folder: Path, labels: dict[str, str] | None = None
) -> AsyncIterator[tuple[Api, LeaseClient]]:
    async with running_api(folder) as api, connected(api) as client:
        yield api, LeaseClient(client, NAMESPACE, "speaker-a", labels)


async def test_created_lease_has_its_labels_and_the_given_fields_only(tmp_path: Path) -> None:
    async with lease_client(tmp_path, LABELS) as (api, client):
        made = await client.create(FIRST)
        stored = api.store.get(BY_KIND["Lease"], NAMESPACE, "speaker-a")
        assert stored["apiVersion"] == "coordination.k8s.io/v1"
        assert stored["spec"] == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 5,
            "renewTime": "2026-01-01T00:00:00.000000Z",
        }
        assert made.spec == FIRST
        assert made.metadata.labels == LABELS
        with pytest.raises(ConflictError):
            await client.create(SECOND)


async def test_absent_lease_is_read_as_none(tmp_path: Path) -> None:
    async with lease_client(tmp_path) as (_, client):
        assert await client.read() is None
        await client.create(FIRST)
        found = await client.read()
        assert found is not None
        assert (found.metadata.name, found.metadata.labels) == ("speaker-a", None)


async def test_only_the_named_version_is_replaced(tmp_path: Path) -> None:
    async with lease_client(tmp_path) as (_, client):
        first = (await client.create(FIRST)).metadata
        second = await client.replace(SECOND, first.resource_version)
        assert second.spec == SECOND, "a number of 0 is sent, too"
        with pytest.raises(ConflictError):
            await client.replace(FIRST, first.resource_version)
        released = LeaseSpec("", 2, None, "2026-01-01T00:00:03.000000Z", 1)
        third = await client.replace(released, second.metadata.resource_version, first.uid)
        assert third.holder == ""
        with pytest.raises(ConflictError):
            await client.replace(FIRST, third.metadata.resource_version, "of an earlier Lease")


async def test_only_the_given_version_is_deleted(tmp_path: Path) -> None:
    async with lease_client(tmp_path) as (_, client):
        first = await client.create(FIRST)
        second = await client.replace(SECOND, first.metadata.resource_version)
        with pytest.raises(ConflictError):
            await client.delete(first)
        await client.delete(second)
        assert await client.read() is None
        with pytest.raises(NotFoundError):
            await client.delete(second)
        with pytest.raises(NotFoundError):
            await client.replace(SECOND, second.metadata.resource_version)


def test_collection_selects_by_labels() -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/x/leases"
    assert (leases("x").path, leases("x").selectors) == (path, {})
    assert leases("x", LABELS).selectors == {"labelSelector": "app=metallb,component=speaker"}


def test_time_is_a_micro_time() -> None:
    assert len(micro_time()) == len("2026-01-01T00:00:00.000000Z")
    assert micro_time().endswith("Z")
