"""Objects, versions and history, as an API server has to keep them."""

from __future__ import annotations

import asyncio

import pytest

from metallb_py.errors import ConflictError, GoneError, NotFoundError
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import HISTORY, Object, Store, metadata

CONFIGMAPS = BY_KIND["ConfigMap"]


def configmap(name: str, **data: str) -> Object:
    return {"metadata": {"name": name}, "data": {**data}}


async def test_what_is_created_can_be_read_and_has_what_a_server_adds() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    meta = metadata(made)
    assert (made["apiVersion"], made["kind"]) == ("v1", "ConfigMap")
    assert (meta["namespace"], meta["resourceVersion"]) == ("shop", str(store.version))
    assert meta["uid"]
    assert meta["creationTimestamp"]
    assert store.get(CONFIGMAPS, "shop", "a") == made


async def test_a_name_is_taken_once_in_each_namespace() -> None:
    store = Store()
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    await store.create(CONFIGMAPS, "bank", configmap("a"))
    with pytest.raises(ConflictError, match="already exists"):
        await store.create(CONFIGMAPS, "shop", configmap("a"))
    assert [metadata(i)["namespace"] for i in store.list(CONFIGMAPS)] == ["bank", "shop"]
    assert len(store.list(CONFIGMAPS, "shop")) == 1


async def test_a_generated_name_is_made_from_its_prefix() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", {"metadata": {"generateName": "web-"}})
    assert str(metadata(made)["name"]).startswith("web-")
    assert metadata(made)["name"] != "web-"


async def test_only_the_version_that_was_read_can_be_replaced() -> None:
    store = Store()
    first = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    second = await store.update(CONFIGMAPS, "shop", "a", {**first, "data": {"x": "2"}})
    with pytest.raises(ConflictError, match="resourceVersion is"):
        await store.update(CONFIGMAPS, "shop", "a", {**first, "data": {"x": "3"}})
    assert store.get(CONFIGMAPS, "shop", "a") == second


async def test_without_a_version_the_last_writer_wins_but_never_over_another_object() -> None:
    store = Store()
    await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    changed = await store.update(CONFIGMAPS, "shop", "a", configmap("a", x="2"))
    assert changed["data"] == {"x": "2"}
    stranger: Object = {"metadata": {"name": "a", "uid": "another"}}
    with pytest.raises(ConflictError, match="uid is"):
        await store.update(CONFIGMAPS, "shop", "a", stranger)


async def test_an_update_that_changes_nothing_makes_no_version() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    before = store.version
    assert await store.update(CONFIGMAPS, "shop", "a", made) == made
    assert store.version == before


async def test_what_was_handed_out_is_nobody_elses() -> None:
    store = Store()
    made = await store.create(CONFIGMAPS, "shop", configmap("a", x="1"))
    metadata(made)["name"] = "changed"
    metadata(store.get(CONFIGMAPS, "shop", "a"))["name"] = "changed"
    assert metadata(store.get(CONFIGMAPS, "shop", "a"))["name"] == "a"


async def test_deleted_objects_are_gone() -> None:
    store = Store()
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    await store.delete(CONFIGMAPS, "shop", "a")
    for missing in ("a", "b"):
        with pytest.raises(NotFoundError, match=f'configmaps "{missing}" not found'):
            store.get(CONFIGMAPS, "shop", missing)
    with pytest.raises(NotFoundError):
        await store.delete(CONFIGMAPS, "shop", "a")


async def test_the_history_since_a_version() -> None:
    store = Store()
    start = store.version
    made = await store.create(CONFIGMAPS, "shop", configmap("a"))
    await store.update(CONFIGMAPS, "shop", "a", {**made, "data": {"x": "2"}})
    middle = store.version
    await store.delete(CONFIGMAPS, "shop", "a")
    assert [c.type for c in store.since(start)] == ["ADDED", "MODIFIED", "DELETED"]
    assert [c.type for c in store.since(middle)] == ["DELETED"]
    assert not list(store.since(store.version))


async def test_a_version_that_is_forgotten_or_from_another_life_is_gone() -> None:
    store = Store()
    start = store.version
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    for number in range(HISTORY):
        await store.update(CONFIGMAPS, "shop", "a", configmap("a", x=str(number)))
    with pytest.raises(GoneError):
        store.since(start)
    with pytest.raises(GoneError):
        store.since(store.version + 1)


async def test_waiting_ends_with_the_next_change() -> None:
    store = Store()
    waiting = asyncio.create_task(store.wait(store.version))
    await asyncio.sleep(0)
    assert not waiting.done()
    await store.create(CONFIGMAPS, "shop", configmap("a"))
    await waiting
