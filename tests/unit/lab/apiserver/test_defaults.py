"""Server-side defaults of objects, and the EndpointSlices that the server makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from metallb_py.errors import NotFoundError
from metallb_py.lab.apiserver.defaults import (
    PODS,
    SERVICES,
    SLICES,
    complete_service,
    keep_slices,
)
from metallb_py.lab.apiserver.store import Object, Store, metadata


def service(name: str, **spec: object) -> Object:
    item: Object = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
    assert isinstance(item["spec"], dict)
    item["spec"].update(spec)
    return item


def pod(name: str, address: str, *, ready: bool = True, app: str = "web") -> Object:
    return {
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"nodeName": "node1"},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


async def created(store: Store, **spec: object) -> Object:
    item = service("web", **spec)
    complete_service(store, item)
    return await store.create(SERVICES, "default", item)


async def test_load_balancer_service_gets_the_servers_defaults() -> None:
    item = await created(Store(), type="LoadBalancer", selector={"app": "web"})
    assert item["spec"] == {
        "type": "LoadBalancer",
        "selector": {"app": "web"},
        "sessionAffinity": "None",
        "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1"],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "externalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }


async def test_cluster_ips_are_unique() -> None:
    store = Store()
    first = await created(store)
    second = service("other")
    complete_service(store, second)
    assert isinstance(first["spec"], dict)
    assert isinstance(second["spec"], dict)
    assert first["spec"]["clusterIP"] != second["spec"]["clusterIP"]


def test_status_gets_ip_mode_and_only_load_balancers_keep_it() -> None:
    item = service("web", type="LoadBalancer")
    item["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    complete_service(Store(), item)
    assert item["status"] == {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}}
    assert isinstance(item["spec"], dict)
    item["spec"]["type"] = "ClusterIP"
    complete_service(Store(), item)
    assert item["status"] == {"loadBalancer": {}}


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """Provide a store with a task that maintains the EndpointSlices."""
    store = Store()
    task = asyncio.create_task(keep_slices(store))
    yield store
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def slice_is(store: Store, good: Callable[[Object], bool]) -> Object:
    async with asyncio.timeout(5):
        while True:
            version = store.version
            try:
                found = store.get(SLICES, "default", "web-lab")
            except NotFoundError:
                found = {}
            if good(found):
                return found
            await store.wait(version)


def endpoints(found: Object) -> dict[str, bool]:
    """Return the readiness of each address."""
    items = found.get("endpoints")
    members = [e for e in items if isinstance(e, dict)] if isinstance(items, list) else []
    return {str(e["addresses"][0]): bool(e["conditions"]["ready"]) for e in members}


async def test_endpoint_slices_follow_pods_and_services(store: Store) -> None:
    await store.create(PODS, "default", pod("a", "10.244.1.2"))
    await store.create(PODS, "default", pod("stranger", "10.244.1.9", app="db"))
    await created(store, selector={"app": "web"})
    found = await slice_is(store, lambda s: endpoints(s) == {"10.244.1.2": True})
    assert metadata(found)["labels"] == {"kubernetes.io/service-name": "web"}
    assert found["ports"] == [{"name": "", "port": 80, "protocol": "TCP"}]
    assert found["addressType"] == "IPv4"

    await store.create(PODS, "default", pod("b", "10.244.2.2", ready=False))
    await slice_is(store, lambda s: endpoints(s) == {"10.244.1.2": True, "10.244.2.2": False})
    await store.update(PODS, "default", "b", pod("b", "10.244.2.2"))
    await slice_is(store, lambda s: endpoints(s) == {"10.244.1.2": True, "10.244.2.2": True})
    await store.delete(PODS, "default", "a")
    await slice_is(store, lambda s: endpoints(s) == {"10.244.2.2": True})
    await store.delete(SERVICES, "default", "web")
    await slice_is(store, lambda s: not s)


async def test_pod_without_address_and_service_without_selector_are_ignored(
    store: Store,
) -> None:
    await created(store)
    pending = pod("a", "")
    await store.create(PODS, "default", pending)
    second = service("second", selector={"app": "web"})
    complete_service(store, second)
    await store.create(SERVICES, "default", second)
    async with asyncio.timeout(5):
        while not store.list(SLICES):
            await store.wait(store.version)
    (only,) = store.list(SLICES)
    assert metadata(only)["name"] == "second-lab"
    assert only["endpoints"] == []
