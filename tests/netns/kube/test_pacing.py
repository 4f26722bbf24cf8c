"""Request rate to an API server that sends failures, or Retry-After."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from support.kube.scripted_api import ScriptedApi, event

from metallb_py.errors import ApiError, OversizedError
from metallb_py.kube import client as client_module
from metallb_py.kube.credentials import TokenFile
from metallb_py.kube.events import Event, EventRecorder, EventType, ObjectReference
from metallb_py.kube.objects import SERVICES
from metallb_py.kube.reflector import Reflector

TOO_LATE = event("ERROR", b'{"code": 410, "message": "too old resource version"}')
TIMED_OUT = event("ERROR", b'{"code": 504, "message": "Timeout"}')
TOKEN = "Bearer "


async def follow(api: ScriptedApi, seconds: float) -> None:
    """Run a reflector for some seconds on a server that always answers alike."""

    async def ignore(_: object) -> None:
        pass

    async with api.running() as client:
        task = asyncio.create_task(Reflector(client, SERVICES, ignore).run())
        await asyncio.sleep(seconds)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_repeated_410_relists_with_backoff() -> None:
    api = ScriptedApi()
    api.send(*[TOO_LATE] * 1000)
    await follow(api, 5.0)
    assert 3 <= len(api.lists) <= 10, "0.1 to 0.2 s, then twice as long each time"


@pytest.mark.parametrize(
    "line", [TIMED_OUT, b"nonsense\n", b'{"type": 7}\n', b'{"type": "ERROR", "object": 7}\n', None]
)
async def test_watch_that_always_fails_is_replaced_by_a_relist(line: bytes | None) -> None:
    api = ScriptedApi()
    lines = [line, None] if line is not None and b'"ERROR"' not in line else [line]
    api.send(*lines * 1000)
    await follow(api, 6.0)
    assert 2 <= len(api.lists) <= 4
    assert 4 <= len(api.watches) <= 10


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_delays_the_next_list(status: int) -> None:
    api = ScriptedApi()
    api.answers.append(web.Response(status=status, headers={"Retry-After": "2"}))
    await follow(api, 3.5)
    assert len(api.lists) == 2
    assert api.lists[1] - api.lists[0] >= 2.0


async def test_retry_after_seconds_in_a_watch_error_delays_the_next_watch() -> None:
    api = ScriptedApi()
    details = b'{"retryAfterSeconds": 2}'
    api.send(event("ERROR", b'{"code": 429, "message": "slowly", "details": %s}' % details))
    await follow(api, 1.5)
    assert (len(api.lists), len(api.watches)) == (1, 1)


DATE = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("3", 3.0),
        ("86400", 60.0),
        ("9" * 500, 60.0),
        ("-1", None),
        ("soon", None),
        ("1.5", None),
        (format_datetime(DATE + timedelta(seconds=7), usegmt=True), 7.0),
        (format_datetime(DATE - timedelta(days=1), usegmt=True), 0.0),
        (format_datetime(DATE + timedelta(days=1), usegmt=True), 60.0),
        ("Wed, 99 Jan 99999999 00:00:00 GMT", None),
    ],
)
async def test_retry_after_in_seconds_or_as_a_date_by_the_servers_clock(
    text: str, seconds: float | None
) -> None:
    api = ScriptedApi()
    headers = {"Retry-After": text, "Date": format_datetime(DATE, usegmt=True)}
    api.answers.append(web.Response(status=429, headers=headers))
    async with api.running() as client:
        with pytest.raises(ApiError) as error:
            await client.patch("/x", {})
    assert error.value.retry_after == seconds


async def test_retry_after_of_an_event_delays_the_next_event() -> None:
    api = ScriptedApi()
    api.answers.append(web.Response(status=429, headers={"Retry-After": "30"}))
    about = ObjectReference("Service", "shop", "web", "u")
    async with api.running() as client:
        recorder = EventRecorder(client, "test")
        for number in range(5):
            recorder.record(Event(about, EventType.NORMAL, "r", f"m{number}"))
        task = asyncio.create_task(recorder.run())
        await api.until_requested(lists=1)
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(api.lists) == 1


async def test_refused_token_is_read_again_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old\n")
    api = ScriptedApi()
    api.accepts = TOKEN + "old"
    async with api.running(TokenFile(path, pytest.fail)) as client:
        await client.get("/x")
        path.write_text("new\n")
        api.accepts = TOKEN + "new"
        await client.get("/x")
        await client.patch("/x", {})
        assert api.tokens == [TOKEN + "old"] * 2 + [TOKEN + "new"] * 2
        api.accepts = TOKEN + "another"
        with pytest.raises(ApiError) as error:
            await client.get("/x")
        assert error.value.status == 401
        assert len(api.tokens) == 5, "there is no other token: the request is not repeated"


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\n", b"a\r\nX-Header: b"])
async def test_invalid_token_file_is_reported_once(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(data)
    problems: list[str] = []
    async with ScriptedApi().running(TokenFile(path, problems.append)) as client:
        for _ in range(3):
            await client.get("/x")
    assert len(problems) == 1


async def test_responses_are_read_up_to_a_maximum_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY", 100_000)
    api = ScriptedApi()
    async with api.running() as client:
        api.answers.append(web.Response(body=b"x" * 1_000_000))
        with pytest.raises(OversizedError, match="found more than 100000 bytes"):
            await client.get("/x")
        api.answers.append(web.Response(status=500, body=b"x" * 10_000_000))
        with pytest.raises(ApiError) as error:
            await client.get("/x")
        assert len(str(error.value)) < 2000
        api.answers.append(web.json_response({"message": "y" * 50_000}, status=500))
        with pytest.raises(ApiError) as error:
            await client.get("/x")
        assert len(str(error.value)) < 2000
