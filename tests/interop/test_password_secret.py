"""A peer with its password in a Secret: FRR requires MD5, and the session waits for the Secret."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.bgp.frr import Frr
from support.kube.api import Api, connected, running_api
from support.net.background import while_running
from support.net.router_link import NODE, NODE_V6, ROUTER, ROUTER_V6
from support.net.waiting import eventually

from metallb_py.config.compile.read_config import read_config
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.store import Object
from metallb_py.runtime.log import Logger
from speaker.announcers.bgp import bgp_announcer
from speaker.announcers.bgp_passwords import Passwords
from speaker.decision import Announcement
from speaker.metrics import SpeakerMetrics

pytestmark = pytest.mark.interop

NAMESPACE, SECRET = "metallb-system", BY_KIND["Secret"]
CONFIG = read_config(f"""
peers:
- {{peer-address: {ROUTER}, peer-asn: 64513, my-asn: 64512, password-secret: {{name: tor}}}}
- {{peer-address: "{ROUTER_V6}", peer-asn: 64513, my-asn: 64512}}
address-pools:
- {{name: pool, protocol: bgp, addresses: [192.0.2.0/24, "2001:db8::/120"]}}
""")
ROUTERS = f"""
router bgp 64513
 no bgp ebgp-requires-policy
 neighbor {NODE} remote-as 64512
 neighbor {NODE} passive
 neighbor {NODE} password s3cret
 neighbor {NODE_V6} remote-as 64512
 neighbor {NODE_V6} passive
 address-family ipv6 unicast
  neighbor {NODE_V6} activate
"""


@pytest.fixture
async def router(router: Frr) -> Frr:
    await router.start(ROUTERS)
    return router


@contextlib.asynccontextmanager
async def running_bgp(api: Api, lines: list[str]) -> AsyncIterator[None]:
    """Run the BGP part of the speaker, wired as in the speaker."""
    async with connected(api) as client:
        log, metrics = Logger(write=lines.append), SpeakerMetrics()
        announcer = bgp_announcer("node1", log, metrics, drain_time=0)

        def configure() -> None:
            announcer.configure(passwords.resolve_passwords(CONFIG, {}), {})

        passwords = Passwords(client, NAMESPACE, log, metrics, configure, period=0.1)
        configure()
        addresses = ip_address("192.0.2.1"), ip_address("2001:db8::1")
        announcer.announce("default/web", Announcement(addresses, CONFIG.pools[0]))
        async with while_running(passwords.run(), announcer.run()):
            yield


async def put(api: Api, password: str) -> None:
    item: Object = {
        "kind": "Secret",
        "metadata": {"namespace": NAMESPACE, "name": "tor"},
        "data": {"password": b64encode(password.encode()).decode()},
    }
    if api.store.list(SECRET):
        await api.store.update(SECRET, NAMESPACE, "tor", item)
    else:
        await api.add(item)


async def state(router: Frr, address: str) -> str:
    return str((await router.neighbor(address))["bgpState"])


async def established(router: Frr) -> int:
    return int((await router.neighbor(NODE))["connectionsEstablished"])


async def test_a_session_waits_for_its_secret_and_follows_it(router: Frr, tmp_path: Path) -> None:
    lines: list[str] = []
    async with running_api(tmp_path) as api, running_bgp(api, lines):
        await eventually(lambda: state(router, NODE_V6), lambda found: found == "Established")
        assert await established(router) == 0
        assert any("there is no such Secret" in line for line in lines)

        await put(api, "s3cret\n")
        await eventually(lambda: established(router), lambda times: times == 1)

        await router.configure("router bgp 64513", f"neighbor {NODE} password n3w")
        await put(api, "n3w")
        await eventually(lambda: established(router), lambda times: times == 2, 20)
        assert (await router.neighbor(NODE_V6))["connectionsEstablished"] == 1

        await api.store.delete(SECRET, NAMESPACE, "tor")
        await eventually(_logged(lines, "keeps the password that it had"), bool)
        assert await established(router) == 2
        assert await state(router, NODE) == "Established"
    assert "s3cret" not in "".join(lines)
    assert "n3w" not in "".join(lines)


def _logged(lines: list[str], text: str) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return any(text in line for line in lines)

    return found
