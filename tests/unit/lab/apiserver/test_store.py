"""Objects, resource versions and history, as an API server has to keep them."""

from __future__ import annotations

import asyncio

import pytest

from metallb_py.errors import ConflictError, GoneError, NotFoundError
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import HISTORY, Object, Store, metadata

CONFIGMAPS = BY_KIND["ConfigMap"]


def configmap(name: str, **data: str) -> Object:
    return {"metadata": {"name": name}, "data": {**data}}


async def test_created_object_can_be_read_and_has_the_servers_metadata() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    meta = metadata(made)
    assert (made["apiVersion"], made["kind"]) == ("v1", "ConfigMap")
    assert (meta["namespace"], meta["resourceVersion"]) == ("shop", str(store.version))
    assert meta["uid"]
    assert meta["creationTimestamp"]
    assert store.get(CONFIGMAPS, "shop", "a") == made


async def test_object_names_are_unique_within_a_namespace() -> None:
    store = Store()
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    await store.create(CONFIGMAPS, "bank", configmap("a"))
    with pytest.raises(ConflictError, match="already exists"):
        await store.create(CONFIGMAPS, "shop", configmap("a"))
    assert [metadata(i)["namespace"] for i in store.list(CONFIGMAPS)] == ["bank", "shop"]
    assert len(store.list(CONFIGMAPS, "shop")) == 1


async def test_generate_name_is_the_prefix_of_the_name() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", {"metadata": {"generateName": "web-"}})
    assert str(metadata(made)["name"]).startswith("web-")
    assert metadata(made)["name"] != "web-"


async def test_update_with_an_old_resource_version_is_a_conflict() -> None:
    store = Store()
    first = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    second = await store.update(CONFIGMAPS, "shop", "a", {**first, "data": {"x": "2"}})
    with pytest.raises(ConflictError, match="resourceVersion is"):
        await store.update(CONFIGMAPS, "shop", "a", {**first, "data": {"x": "3"}})
    assert store.get(CONFIGMAPS, "shop", "a") == second


async def test_update_without_resource_version_wins_but_not_over_another_uid() -> None:
    store = Store()
    await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    changed = await store.update(CONFIGMAPS, "shop", "a", configmap("a", x="2"))
    assert changed["data"] == {"x": "2"}
    other: Object = {"metadata": {"name": "a", "uid": "another"}}
    with pytest.raises(ConflictError, match="uid is"):
        await store.update(CONFIGMAPS, "shop", "a", other)


async def test_update_that_changes_nothing_makes_no_resource_version() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    before = store.version
    assert await store.update(CONFIGMAPS, "shop", "a", made) == made
    assert store.version == before


async def test_returned_objects_are_copies() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    metadata(made)["name"] = "changed"
    metadata(store.get(CONFIGMAPS, "shop", "a"))["name"] = "changed"
    assert metadata(store.get(CONFIGMAPS, "shop", "a"))["name"] == "a"


async def test_deleted_object_is_not_found() -> None:
    store = Store()
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    await store.delete(CONFIGMAPS, "shop", "a")
    for missing in ("a", "b"):
        with pytest.raises(NotFoundError, match=f'configmaps "{missing}" not found'):
            store.get(CONFIGMAPS, "shop", missing)
    with pytest.raises(NotFoundError):
        await store.delete(CONFIGMAPS, "shop", "a")


async def test_history_since_a_resource_version() -> None:
    store = Store()
    start = store.version
    made = await store.create(CONFIGMAPS, "shop", configmap("a"))
    await store.update(CONFIGMAPS, "shop", "a", {**made, "data": {"x": "2"}})
    middle = store.version
    await store.delete(CONFIGMAPS, "shop", "a")
    assert [c.type for c in store.since(start)] == ["ADDED", "MODIFIED", "DELETED"]
    assert [c.type for c in store.since(middle)] == ["DELETED"]
    assert not list(store.since(store.version))


async def test_resource_version_too_old_or_in_the_future_is_gone() -> None:
    store = Store()
    start = store.version
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    for number in range(HISTORY):
        await store.update(CONFIGMAPS, "shop", "a", configmap("a", x=str(number)))
    with pytest.raises(GoneError):
        store.since(start)
    with pytest.raises(GoneError):
        store.since(store.version + 1)


async def test_wait_ends_with_the_next_change() -> None:
    store = Store()
    waiting = asyncio.create_task(store.wait(store.version))
    await asyncio.sleep(0)
    assert not waiting.done()
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    await waiting
