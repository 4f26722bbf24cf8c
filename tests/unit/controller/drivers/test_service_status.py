"""Status writes that wait, fail and are replaced, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address

import pytest
from support.kube.objects import service
from support.net import virtual_time

from controller.drivers.service_status import (
    WORKERS,
    RetryDue,
    StatusEvent,
    StatusWriter,
    WriteFailed,
    Written,
)
from controller.effects import WriteStatus
from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.credentials import Access

TOO_MANY = ApiError("too many requests", 429, retry_after=20.0)


class SlowServer(KubeClient):
    """Answers each write after a second: with the error that ``refuse`` returns for it, if any."""

    def __init__(self) -> None:
        super().__init__(Access("http://192.0.2.9"))
        self.refuse: Callable[[str, str], ApiError | None] = lambda uid, version: None
        self.requests: list[tuple[str, str]] = []  # uid and resource version
        self.concurrent = self.most = 0

    async def patch(self, path: str, body: Mapping[str, object]) -> bytes:
        meta = body["metadata"]
        assert isinstance(meta, dict)
        request = (meta["uid"], meta["resourceVersion"])
        self.requests.append(request)
        self.concurrent += 1
        self.most = max(self.most, self.concurrent)
        await asyncio.sleep(1.0)
        self.concurrent -= 1
        error = self.refuse(*request)
        if error is not None:
            raise error
        return b""


class Writing:
    """A StatusWriter with its events and their times."""

    def __init__(self) -> None:
        self.server = SlowServer()
        self.events: list[tuple[float, StatusEvent]] = []
        self.writer = StatusWriter(self.server, self._record)

    async def _record(self, event: StatusEvent) -> None:
        self.events.append((asyncio.get_running_loop().time(), event))

    def write(self, name: str = "web", version: str = "1", uid: str = "1") -> None:
        item = service(name, version=version, uid=uid)
        self.writer.write(WriteStatus(item, (ip_address("192.0.2.1"),), "a"))

    def during(self, steps: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            task = asyncio.create_task(self.writer.run())
            await steps()
            task.cancel()
            await asyncio.wait({task})

        virtual_time.run(main())


def test_conflict_is_reported_at_once_and_its_retry_after_a_delay() -> None:
    writing, conflict = Writing(), ConflictError("the object has been modified", 409)
    writing.server.refuse = lambda uid, version: conflict

    async def steps() -> None:
        writing.write()
        await asyncio.sleep(100)

    writing.during(steps)
    assert writing.events == [
        (1.0, WriteFailed("default/web", conflict)),
        (pytest.approx(1.05), RetryDue("default/web")),
    ]
    assert len(writing.server.requests) == 1, "the core decides whether there is another write"


def test_decision_during_a_write_that_fails_replaces_the_retry() -> None:
    writing, conflict = Writing(), ConflictError("the object has been modified", 409)
    writing.server.refuse = lambda uid, version: conflict if version == "1" else None

    async def steps() -> None:
        writing.write(version="1")
        await asyncio.sleep(0.5)
        writing.write(version="2")
        writing.write(version="3")
        await asyncio.sleep(100)

    writing.during(steps)
    assert writing.events == [
        (1.0, WriteFailed("default/web", conflict)),
        (2.0, Written("default/web")),
    ]
    assert writing.server.requests == [("1", "1"), ("1", "3")]


def test_decision_before_a_retry_replaces_it() -> None:
    writing = Writing()
    writing.server.refuse = lambda uid, version: TOO_MANY if version == "1" else None

    async def steps() -> None:
        writing.write(version="1")
        await asyncio.sleep(10.0)
        writing.write(version="2")
        await asyncio.sleep(100)

    writing.during(steps)
    assert writing.events == [
        (1.0, WriteFailed("default/web", TOO_MANY)),
        (11.0, Written("default/web")),
    ]


def test_service_recreated_during_a_write_is_written_next() -> None:
    writing = Writing()
    writing.server.refuse = lambda uid, version: (
        NotFoundError("it was deleted", 404) if uid == "1" else None
    )

    async def steps() -> None:
        writing.write(uid="1")
        await asyncio.sleep(0.5)
        writing.write(uid="1", version="2")
        writing.writer.forget("default/web")
        writing.write(uid="2", version="9")
        await asyncio.sleep(100)

    writing.during(steps)
    assert writing.server.requests == [("1", "1"), ("2", "9")]
    assert writing.events == [(2.0, Written("default/web"))]


def test_2000_refused_services_send_no_request_before_the_server_accepts_them() -> None:
    writing = Writing()
    writing.server.refuse = lambda uid, version: TOO_MANY
    count = 2000

    async def steps() -> None:
        for number in range(count):
            writing.write(f"s{number}", uid=str(number))
        await asyncio.sleep(2000)

    writing.during(steps)
    failed = {e.key: time for time, e in writing.events if isinstance(e, WriteFailed)}
    due = {e.key: time for time, e in writing.events if isinstance(e, RetryDue)}
    assert len(failed) == len(due) == count
    assert len(writing.events) == 2 * count
    assert all(due[key] >= time + 20.0 for key, time in failed.items())
    assert len(writing.server.requests) == count
    assert writing.server.most == WORKERS
