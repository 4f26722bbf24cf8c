"""The BGP announcer and the events of its sessions, over loopback of a namespace."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.bgp.peers import PeerConnection, listening
from support.net.background import while_running
from support.net.router_link import NODE
from support.net.waiting import eventually

from metallb_py.model.config import BgpAdvertisement, Config, Pool, Protocol
from metallb_py.model.peers import Peer, SessionParameters
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.protocols.bgp.codec.messages import Keepalive
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.runtime.log import Logger
from speaker.announcers.bgp import bgp_announcer
from speaker.decision import Announcement
from speaker.metrics import SpeakerMetrics

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("cable")]

ONE = Peer(SessionParameters(64512, 64513, ip_address("127.0.0.1")), name="one")
TWO = Peer(SessionParameters(64512, 64513, ip_address("127.0.0.2")), name="two")
SERVICES = {f"default/{n}": (ip_address(f"192.0.2.{n}"),) for n in (1, 2)}


async def test_updates_of_a_peer_are_counted_and_malformed_ones_logged() -> None:
    lines: list[str] = []
    metrics = SpeakerMetrics()
    announcer = bgp_announcer("node1", Logger(write=lines.append), metrics, drain_time=0)
    announcer.configure(
        Config(peers=(Peer(SessionParameters(64512, 64513, ip_address(NODE))),)), {}
    )
    counted = b'metallb_bgp_updates_received_total{peer="10.77.0.1:179"} 2.0'

    async def page() -> bytes:
        return metrics.render()[0]

    async with listening(NODE) as accepted, while_running(announcer.run()):
        router = await accepted.get()
        router.accept_open(await router.receive())
        router.writer.write(b"\xff" * 16 + bytes.fromhex("001c 02 0000 0000 20c0000201"))
        router.writer.write(b"\xff" * 16 + bytes.fromhex("0017 02 0000 0000"))  # End-of-RIB

        metrics_page = await eventually(page, lambda text: counted in text)
        assert b'metallb_bgp_session_up{peer="10.77.0.1:179"} 1.0' in metrics_page

    (warning,) = [line for line in map(json.loads, lines) if line["level"] == "warn"]
    assert warning["msg"] == "peer sent a malformed UPDATE"
    assert "NEXT_HOP is missing" in warning["error"]


async def test_malformed_updates_do_not_fill_the_log() -> None:
    lines: list[str] = []
    metrics = SpeakerMetrics()
    announcer = bgp_announcer("node1", Logger(write=lines.append), metrics, drain_time=0)
    announcer.configure(
        Config(peers=(Peer(SessionParameters(64512, 64513, ip_address(NODE))),)), {}
    )
    counted = b'metallb_bgp_updates_received_total{peer="10.77.0.1:179"} 1000.0'

    async def page() -> bytes:
        return metrics.render()[0]

    async with listening(NODE) as accepted, while_running(announcer.run()):
        router = await accepted.get()
        router.accept_open(await router.receive())
        malformed = b"\xff" * 16 + bytes.fromhex("001c 02 0000 0000 20c0000201")
        router.writer.write(malformed * 1000)
        metrics_page = await eventually(page, lambda text: counted in text)
        assert b'metallb_bgp_session_up{peer="10.77.0.1:179"} 1.0' in metrics_page

    warnings = [line for line in map(json.loads, lines) if line["level"] == "warn"]
    assert 1 <= len(warnings) <= 30


class Changing:
    """An announcer whose advertisements change."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        logger = Logger(write=self.lines.append)
        self.announcer = bgp_announcer("node1", logger, SpeakerMetrics(), drain_time=0)
        self._marks = 0

    def apply(self, peers: tuple[Peer, ...], *advertisements: BgpAdvertisement) -> None:
        """Do what the speaker does when a new configuration is in force."""
        cidrs = (ip_network("192.0.2.0/24"), ip_network("198.51.100.0/24"))
        pool = Pool("p", Protocol.BGP, cidrs, bgp_advertisements=advertisements)
        mark = Pool("m", Protocol.BGP, cidrs, bgp_advertisements=(BgpAdvertisement(),))
        self.announcer.configure(Config((pool, mark), peers), {})
        for key, addresses in SERVICES.items():
            self.announcer.announce(key, Announcement(addresses, pool))
        self._pool, self._mark = pool, mark

    def local(self, key: str, endpoints: int) -> Announcement:
        """Return the announcement of a service with this number of local endpoints."""
        return Announcement(SERVICES[key], self._pool, endpoints)

    async def updates(self, router: PeerConnection) -> list[set[str]]:
        """Return the prefixes of each UPDATE so far, withdrawn ones with a minus.

        Two marks follow them, the second after the first was received: then all was flushed.
        """
        updates: list[set[str]] = []
        for _ in range(2):
            self._marks += 1
            mark = f"198.51.100.{self._marks}"
            self.announcer.announce("default/mark", Announcement((ip_address(mark),), self._mark))
            prefixes: set[str] = set()
            while f"{mark}/32" not in prefixes:
                message = await router.receive()
                assert isinstance(message, Update | Keepalive), "sessions stay up"
                prefixes = _prefixes(message) if isinstance(message, Update) else set()
                updates.append({each for each in prefixes if "198.51.100." not in each})
        return [update for update in updates if update]

    def sessions(self) -> list[str]:
        """Return the logged events of sessions that came up or went down."""
        events = (json.loads(line).get("event") for line in self.lines)
        return [event for event in events if event in ("sessionUp", "sessionDown", "peerRemoved")]


def _prefixes(update: Update) -> set[str]:
    announced = {str(prefix) for reach in update.reach for prefix in reach.prefixes}
    return announced | {f"-{prefix}" for prefix in update.withdrawn}


async def test_changed_advertisements_send_the_difference_in_the_same_session() -> None:
    node = Changing()
    hosts, wide = BgpAdvertisement(), BgpAdvertisement(aggregation_length=24)
    all_peers = (ONE, TWO)
    node.apply(all_peers, hosts)
    both = {"192.0.2.1/32", "192.0.2.2/32"}
    gone = {f"-{host}" for host in both}

    async with (
        listening("127.0.0.1") as first,
        listening("127.0.0.2") as second,
        while_running(node.announcer.run()),
    ):
        one, two = await first.get(), await second.get()
        for router in (one, two):
            router.accept_open(await router.receive())
            assert await node.updates(router) == [both]

        async def change(
            *advertisements: BgpAdvertisement, peers: tuple[Peer, ...] = all_peers
        ) -> object:
            node.apply(peers, *advertisements)
            return await node.updates(one), await node.updates(two)

        assert await change(hosts) == ([], [])
        assert await change(wide, replace(hosts, peers=frozenset({"one"}))) == (
            [{"192.0.2.0/24"}],
            [{"192.0.2.0/24"}, gone],
        )
        by_address = replace(hosts, peers=frozenset({"127.0.0.1"}))
        assert await change(wide, by_address) == ([], []), "the same peer by its address"
        renamed = (replace(ONE, name="uno"), TWO)
        by_name = replace(hosts, peers=frozenset({"uno", "two"}))
        assert await change(wide, by_name, peers=renamed) == ([], [both])
        for_two = replace(hosts, peers=frozenset({"two"}))
        assert await change(wide, for_two, peers=renamed) == ([gone], [])
        seven = RouteAttributes(communities=frozenset({Community(7)}))
        marked = replace(by_name, attributes=seven)
        assert await change(wide, marked, peers=renamed) == ([both], [both])
        assert await change(marked, peers=renamed) == ([{"-192.0.2.0/24"}], [{"-192.0.2.0/24"}])
        assert node.sessions() == ["sessionUp", "sessionUp"]


async def test_changed_number_of_endpoints_is_sent_in_one_update() -> None:
    node = Changing()
    node.apply((ONE,), BgpAdvertisement(weight_by_endpoints=True))
    async with listening("127.0.0.1") as first, while_running(node.announcer.run()):
        one = await first.get()
        one.accept_open(await one.receive())
        await node.updates(one)
        for count in (1, 2):
            announcement = node.local("default/1", count)
            node.announcer.announce("default/1", announcement)
            node.announcer.announce("default/1", announcement)
            assert await node.updates(one) == [{"192.0.2.1/32"}]
