"""Reflectors among objects that can't be decoded: the others are followed as if nothing was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.odd_api import OddApi, event, service, text_of
from support.patience import PATIENCE

from metallb_py.kube.objects import Service
from metallb_py.kube.reflector import Changed, Reflector, ReflectorEvent, Undecodable
from metallb_py.kube.resource import SERVICES

DEEP = {"managedFields": [{"fieldsV1": "DEEP"}]}


class Follower:
    """A reflector, and its events in short."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[ReflectorEvent[Service]] = asyncio.Queue()
        self.reflector: Reflector[Service]

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE):
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
async def following(api: OddApi) -> AsyncIterator[Follower]:
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


async def test_managed_fields_nested_deep_in_a_list_and_in_a_watch() -> None:
    api = OddApi()
    api.items = [text_of(service("a")), text_of(service("odd", metadata=DEEP))]
    async with following(api) as follower:
        assert await follower.next_few(3) == ["+a", "+odd", "Synced"]
        api.send(event("MODIFIED", text_of(service("odd", 11, metadata=DEEP))))
        api.send(event("ADDED", text_of(service("b", 12, metadata=DEEP))))
        api.send(event("DELETED", text_of(service("a", 13, metadata=DEEP))))
        assert await follower.next_few(3) == ["~odd", "+b", "-a"]
        assert follower.version("odd") == "11"
    assert len(api.watches) == 1, "the watch went on"


async def test_the_last_good_version_stays_until_a_good_one_comes() -> None:
    api = OddApi()
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


async def test_one_that_is_deleted_is_gone() -> None:
    api = OddApi()
    api.items = [text_of(service("a")), text_of(service("b"))]
    async with following(api) as follower:
        assert await follower.next_few(3) == ["+a", "+b", "Synced"]
        api.send(event("DELETED", text_of(service("a", 11, spec=7))))
        api.send(event("DELETED", text_of(service("b", 12, "another", spec=7))))
        api.send(event("ADDED", text_of(service("c", 13))))
        assert await follower.next_few(2) == ["-a", "+c"], "another of b's name was deleted"


async def test_at_a_start_what_can_be_decoded_counts() -> None:
    api = OddApi()
    api.items = [text_of(service("odd", spec={"ports": 7})), text_of(service("a")), b'{"x": "y"}']
    async with following(api) as follower:
        told = await follower.next_few(5)
        assert told == ["+a", "+odd", "!odd REST", "! NOTHING", "Synced"]
        odd = follower.reflector.store["default/odd"]
        assert [entry.ip for entry in odd.ingress] == ["192.0.2.1"]
        api.send(event("MODIFIED", text_of(service("odd", 11))))
        assert await follower.next() == "~odd"
        assert not follower.reflector.store["default/odd"].unread


async def test_a_new_list_keeps_what_is_there_and_drops_what_is_not() -> None:
    api = OddApi()
    api.items = [text_of(service("a")), text_of(service("b"))]
    gone = event("ERROR", b'{"code": 410, "message": "too old"}')
    async with following(api) as follower:
        assert await follower.next_few(3) == ["+a", "+b", "Synced"]
        api.items = [text_of(service("a", 11, spec=7))]
        api.send(gone)
        assert await follower.next_few(2) == ["-b", "!a LAST_GOOD"]
        api.send(gone)
        await api.until_asked(lists=3)
        api.items = []
        api.send(gone)
        # The third in a row is worth a line in the log; the version was reported already.
        assert await follower.next_few(3) == ["Unreachable", "Reachable", "-a"]


async def test_one_without_a_name_may_be_any_that_is_missing() -> None:
    api = OddApi()
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


async def test_an_older_version_never_replaces_a_newer_one() -> None:
    api = OddApi()
    api.items = [text_of(service("a", 5))]
    async with following(api) as follower:
        assert await follower.next_few(2) == ["+a", "Synced"]
        api.send(event("MODIFIED", text_of(service("a", 4))))
        api.send(event("ADDED", text_of(service("b", 11))))
        assert await follower.next() == "+b"
        assert follower.version("a") == "5"
        api.send(None)
        await api.until_asked(lists=2)


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
async def test_junk_in_a_watch_is_passed_over(line: bytes) -> None:
    api = OddApi()
    async with following(api) as follower:
        assert await follower.next() == "Synced"
        api.send(line + b"\n\n")
        api.send(event("ADDED", text_of(service("a", 11))))
        told = await follower.next()
        if told != "+a":
            assert (told, await follower.next()) == ("! NOTHING", "+a")
        api.send(None)
        await api.until_asked(lists=1, watches=2)
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
async def test_whatever_an_object_holds_the_others_are_followed(
    odd: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    api = OddApi()
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
        assert len(api.watches) == 1, "the watch went on"
