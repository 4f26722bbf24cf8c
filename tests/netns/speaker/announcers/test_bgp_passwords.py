"""Passwords from Secrets, on loopback: changes are followed, and missing ones are reported."""

from __future__ import annotations

import asyncio
import contextlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from support.kube.api import Api, connected, running_api
from support.net.background import while_running
from support.net.waiting import TIMEOUT

from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.model.config import Config
from metallb_py.model.peers import Peer, SecretKey, SessionParameters
from metallb_py.runtime.log import Logger
from speaker.announcers.bgp_passwords import Passwords
from speaker.metrics import SpeakerMetrics

pytestmark = pytest.mark.netns

SECRET = BY_KIND["Secret"]
NAMESPACE = "metallb-system"
CONFIG = Config(
    peers=(
        Peer(SessionParameters(1, 2, ip_address("10.0.0.1"))),
        Peer(
            SessionParameters(1, 2, ip_address("10.0.0.2")),
            password_secret=SecretKey("tor", "md5"),
        ),
    )
)
PLAIN, WAITING = [""], {"peer": "10.0.0.2:179"}


class Followed:
    """Passwords as the speaker follows them, polled often."""

    def __init__(self, api: Api, passwords: Passwords, metrics: SpeakerMetrics) -> None:
        self.api = api
        self.passwords = passwords
        self.changed = asyncio.Event()
        self.lines: list[str] = []
        self._metrics = metrics

    def now(self) -> list[str]:
        peers = self.passwords.resolve_passwords(CONFIG, {}).peers
        return [peer.session.password for peer in peers]

    async def until(self, wanted: list[str]) -> None:
        """Wait until the peers that are not waiting for a Secret have these passwords."""
        async with asyncio.timeout(TIMEOUT):
            while self.now() != wanted:
                self.changed.clear()
                await self.changed.wait()

    async def logged(self, error: str) -> dict[str, object]:
        """Wait for the one line in the log with this error."""
        async with asyncio.timeout(TIMEOUT):
            while self.now() is not None and not any(error in line for line in self.lines):
                self.changed.clear()
                await self.changed.wait()
        (line,) = [json.loads(line) for line in self.lines if error in line]
        found: dict[str, object] = line
        return found

    @property
    def waiting(self) -> float | None:
        """The metric of the second peer."""
        registry = self._metrics.registry
        return registry.get_sample_value("metallb_bgp_password_missing", WAITING)

    async def put(self, **data: bytes) -> None:
        """Create the Secret, or replace it."""
        item: dict[str, object] = {
            "kind": "Secret",
            "metadata": {"namespace": NAMESPACE, "name": "tor"},
            "data": {key: b64encode(value).decode() for key, value in data.items()},
        }
        if self.api.store.list(SECRET):
            await self.api.store.update(SECRET, NAMESPACE, "tor", item)  # type: ignore[arg-type]
        else:
            await self.api.add(item)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def following(folder: Path, period: float = 0.02) -> AsyncIterator[Followed]:
    async with running_api(folder) as api, connected(api) as client:
        metrics, lines = SpeakerMetrics(), list[str]()
        log, changed = Logger(write=lines.append), asyncio.Event()
        passwords = Passwords(client, NAMESPACE, log, metrics, changed.set, period)
        followed = Followed(api, passwords, metrics)
        followed.changed, followed.lines = changed, lines
        async with while_running(passwords.run()):
            yield followed
        assert "hunter" not in "".join(lines)


async def test_password_follows_its_secret_and_outlives_its_deletion(tmp_path: Path) -> None:
    async with following(tmp_path) as followed:
        assert followed.now() == PLAIN
        line = await followed.logged("there is no such Secret")
        assert (line["peer"], line["secret"]) == ("10.0.0.2:179", "metallb-system/tor")
        assert line["msg"] == "BGP peer waits for its password"
        assert followed.waiting == 1

        await followed.put(md5=b"hunter2")
        await followed.until(["", "hunter2"])
        assert followed.waiting is None
        await followed.put(md5=b"hunter3\n", other=b"x")
        await followed.until(["", "hunter3"])

        followed.lines.clear()
        await followed.api.store.delete(SECRET, NAMESPACE, "tor")
        line = await followed.logged("there is no such Secret")
        assert line["msg"] == "BGP peer keeps the password that it had"
        assert followed.now() == ["", "hunter3"]


async def test_secret_without_the_key_is_reported(tmp_path: Path) -> None:
    async with following(tmp_path) as followed:
        await followed.put(password=b"hunter2")
        followed.now()
        assert (await followed.logged("it has no key"))["key"] == "md5"
        assert followed.now() == PLAIN
        await followed.put(md5=b"hunter2")
        await followed.until(["", "hunter2"])


async def test_api_server_outage_keeps_the_password(tmp_path: Path) -> None:
    async with following(tmp_path) as followed:
        await followed.put(md5=b"hunter2")
        await followed.until(["", "hunter2"])
        await followed.api.stop()
        followed.changed.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(followed.changed.wait(), 0.3)
        assert followed.now() == ["", "hunter2"]
        await followed.put(md5=b"hunter3")
        await followed.api.start()
        await followed.until(["", "hunter3"])


async def test_forbidden_secret_is_reported(tmp_path: Path) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "message": "not allowed"}, status=403)

    application = web.Application()
    application.router.add_get("/{path:.*}", refuse)
    async with following(tmp_path) as followed:
        await followed.api.stop()
        await followed.api.start(application)
        assert followed.now() == PLAIN
        line = await followed.logged("want the right to get it")
        assert "403 Forbidden: not allowed" in str(line["error"])
        assert "/api/v1/namespaces/metallb-system/secrets/tor" in str(line["error"])


async def test_peers_without_password_secret_request_none(tmp_path: Path) -> None:
    requested = asyncio.Event()

    async def note(_: web.Request) -> web.Response:
        requested.set()
        return web.json_response({}, status=404)

    application = web.Application()
    application.router.add_get("/{path:.*}", note)
    async with following(tmp_path) as followed:
        await followed.api.stop()
        await followed.api.start(application)
        followed.passwords.resolve_passwords(Config(peers=CONFIG.peers[:1]), {})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(requested.wait(), 0.2)
        followed.now()
        await asyncio.wait_for(requested.wait(), TIMEOUT)
