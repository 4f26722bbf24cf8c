"""Reflectors among objects that can't be decoded: the other objects are followed as usual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.kube.scripted_api import ScriptedApi, event, service, text_of
from support.net.waiting import TIMEOUT

from metallb_py.kube.objects import SERVICES, Service
from metallb_py.kube.reflector import Changed, Reflector, ReflectorEvent, Undecodable

DEEP = {"managedFields": [{"fieldsV1": "DEEP"}]}


class Follower:
    """A reflector, and its events in short form."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[ReflectorEvent[Service]] = asyncio.Queue()
        self.reflector: Reflector[Service]

    async def next(self) -> str:
        async with asyncio.timeout(TIMEOUT):
            found = await self.events.get()
        match found:
            case Changed(key, old, new):
                sign = "+" if old is None else "-" if new is None else "~"
                return sign + key.removeprefix("default/")
            case Undecodable(_, key, _, _, in_force):
                return f"!{key.removeprefix('default/')} {in_force.name}"
        return type(found).__name__

    async def next_few(self, count: int) -> list[str]:
        return [await self.next() for _ in range(count)]

    def version(self, name: str) -> str:
        return self.reflector.store[f"default/{name}"].metadata.resource_version


@asynccontextmanager
async def following(api: ScriptedApi) -> AsyncIterator[Follower]:
    follower = Follower()
    async with api.running() as client:
        follower.reflector = Reflector(client, SERVICES, follower.events.put)
        task = asyncio.create_task(follower.reflector.run())
        try:
            yield follower
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_deeply_nested_managed_fields_in_a_list_and_in_a_watch() -> None:
    api = ScriptedApi()
    api.items = [text_of(service("a")), text_of(service("odd", metadata=DEEP))]
    async with following(api) as follower:
        assert await follower.next_few(3) == ["+a", "+odd", "Synced"]
        api.send(event("MODIFIED", text_of(service("odd", 11, metadata=DEEP))))
        api.send(event("ADDED", text_of(service("b", 12, metadata=DEEP))))
        api.send(event("DELETED", text_of(service("a", 13, metadata=DEEP))))
        assert await follower.next_few(3) == ["~odd", "+b", "-a"]
        assert follower.version("odd") == "11"
    assert len(api.watches) == 1, "the watch continued"


async def test_last_good_version_stays_until_a_good_one_arrives() -> None:
    api = ScriptedApi()
    api.items = [text_of(service("a"))]
    async with following(api) as follower:
        assert await follower.next_few(2) == ["+a", "Synced"]
        api.send(event("MODIFIED", text_of(service("a", 11, spec={"type": 7}))))
        api.send(event("ADDED", text_of(service("b", 12))))
        assert await follower.next_few(2) == ["!a LAST_GOOD", "+b"]
        assert follower.version("a") == "1"
        api.send(event("MODIFIED", text_of(service("a", 13))))
        assert await follower.next() == "~a"
        assert follower.version("a") == "13"


async def test_deleted_undecodable_object_is_removed() -> None:
    api = ScriptedApi()
    api.items = [text_of(service("a")), text_of(service("b"))]
    async with following(api) as follower:
        assert await follower.next_few(3) == ["+a", "+b", "Synced"]
        api.send(event("DELETED", text_of(service("a", 11, spec=7))))
        api.send(event("DELETED", text_of(service("b", 12, "another", spec=7))))
        api.send(event("ADDED", text_of(service("c", 13))))
        assert await follower.next_few(2) == ["-a", "+c"], (
            "the deleted object was another with b's name"
        )


async def test_first_list_keeps_the_decodable_part_of_an_object() -> None:
    api = ScriptedApi()
    api.items = [text_of(service("odd", spec={"ports": 7})), text_of(service("a")), b'{"x": "y"}']
    async with following(api) as follower:
        found = await follower.next_few(5)
        assert found == ["+a", "+odd", "!odd REST", "! NOTHING", "Synced"]
        odd = follower.reflector.store["default/odd"]
        assert [entry.ip for entry in odd.ingress] == ["192.0.2.1"]
        api.send(event("MODIFIED", text_of(service("odd", 11))))
        assert await follower.next() == "~odd"
        assert not follower.reflector.store["default/odd"].unread


async def test_relist_keeps_undecodable_objects_and_removes_missing_ones() -> None:
    api = ScriptedApi()
    api.items = [text_of(service("a")), text_of(service("b"))]
    gone = event("ERROR", b'{"code": 410, "message": "too old"}')
    async with following(api) as follower:
        assert await follower.next_few(3) == ["+a", "+b", "Synced"]
        api.items = [text_of(service("a", 11, spec=7))]
        api.send(gone)
        assert await follower.next_few(2) == ["-b", "!a LAST_GOOD"]
        api.send(gone)
        await api.until_requested(lists=3)
        api.items = []
        api.send(gone)
        # The third error in a row is reported; the undecodable version was reported already.
        assert await follower.next_few(3) == ["Unreachable", "Reachable", "-a"]


async def test_relist_with_a_nameless_object_removes_nothing() -> None:
    api = ScriptedApi()
    api.items = [text_of(service("a"))]
    gone = event("ERROR", b'{"code": 410}')
    async with following(api) as follower:
        assert await follower.next_few(2) == ["+a", "Synced"]
        api.items = [text_of(service("a", 11, metadata={"name": 7}))]
        api.send(gone)
        assert await follower.next() == "! NOTHING"
        assert "default/a" in follower.reflector.store
        api.items = []
        api.send(event("DELETED", b'{"metadata": {"name": 7}}'))
        assert await follower.next_few(2) == ["Unreachable", "Reachable"]
        assert await follower.next() == "-a"


async def test_older_resource_version_never_replaces_a_newer_one() -> None:
    api = ScriptedApi()
    api.items = [text_of(service("a", 5))]
    async with following(api) as follower:
        assert await follower.next_few(2) == ["+a", "Synced"]
        api.send(event("MODIFIED", text_of(service("a", 4))))
        api.send(event("ADDED", text_of(service("b", 11))))
        assert await follower.next() == "+b"
        assert follower.version("a") == "5"
        api.send(None)
        await api.until_requested(lists=2)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "BOOKMARK", "object": 7}',
        b'{"type": "BOOKMARK", "object": {"metadata": {}}}',
        b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": [1]}}}',
        b'{"type": "RENAMED", "object": {}}',
        b'{"type": "ADDED", "object": {}}',
        b'{"type": "ADDED", "object": null}',
        b'{"type": "ADDED", "object": {"metadata": {"name": "../../x"}}}',
    ],
)
async def test_malformed_watch_events_are_skipped(line: bytes) -> None:
    api = ScriptedApi()
    async with following(api) as follower:
        assert await follower.next() == "Synced"
        api.send(line + b"\n\n")
        api.send(event("ADDED", text_of(service("a", 11))))
        found = await follower.next()
        if found != "+a":
            assert (found, await follower.next()) == ("! NOTHING", "+a")
        api.send(None)
        await api.until_requested(lists=1, watches=2)
        assert api.watches[:2] == ["10", "11"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
) | st.just("DEEP")
FIELD = st.sampled_from(["metadata", "spec", "status", "kind", "x"])
META_FIELD = st.sampled_from(["name", "namespace", "uid", "resourceVersion", "labels", "managed"])
ODD = st.tuples(st.dictionaries(FIELD, JSON, max_size=2), st.dictionaries(META_FIELD, JSON))


@settings(
    max_examples=40, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
)
@given(st.lists(ODD, min_size=1, max_size=5))
async def test_arbitrary_objects_do_not_stop_the_reflector(
    odd: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    api = ScriptedApi()
    items = [
        text_of({**service(f"o{n}", metadata=meta), **more}) for n, (more, meta) in enumerate(odd)
    ]
    api.items = [*items, text_of(service("good"))]
    async with following(api) as follower:
        while await follower.next() != "Synced":
            pass
        assert "default/good" in follower.reflector.store
        for item in items:
            for kind in ("ADDED", "MODIFIED"):
                api.send(event(kind, item))
        api.send(event("ADDED", text_of(service("later", 99))))
        while await follower.next() != "+later":
            pass
        assert len(api.watches) == 1, "the watch continued"
