"""The BGP announcer's use of sessions and BFD, which are twins that record their calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from ipaddress import ip_address

import pytest
from support.kube.objects import pool, selector

from metallb_py.addresses import IPNetwork
from metallb_py.model.config import BgpAdvertisement, Config, Pool, Protocol
from metallb_py.model.peers import Peer, SecretKey, SessionParameters
from metallb_py.model.routes import UNNAMED, PeerGroup
from speaker.announcers.bgp import BgpAnnouncer
from speaker.bgp.passwords import Password, resolve_passwords
from speaker.bgp.peering import Peering
from speaker.bgp.shutdown import ShutdownMode
from speaker.decision import Announcement

TOR = Peer(SessionParameters(64512, 64513, ip_address("10.0.0.2")), name="tor")
SPINE = Peer(SessionParameters(64512, 64514, ip_address("10.0.0.3")), name="spine")
RACK2 = (selector(rack="2"),)
DRAIN = ShutdownMode(graceful_restart=False, why="node shuts down")
RESTART = ShutdownMode(graceful_restart=True, why="speaker restarts")
FOREVER = 1e9


class Sessions:
    """Twin of ``BgpSpeaker``."""

    def __init__(self, *, drains: bool = False) -> None:
        self.peering = Peering()
        self.routes: dict[PeerGroup, list[str]] = {}
        """Prefixes that each group of peers gets."""
        self.calls: list[object] = []
        self.running = False
        self.ended = asyncio.Event()
        self._drains = drains

    def set_peers(self, peering: Peering) -> None:
        self.peering = peering

    def change_routes(
        self, changed: Mapping[IPNetwork, object], group: PeerGroup = UNNAMED
    ) -> None:
        self.calls.append(("routes", group, sorted(map(str, changed))))
        gone = {str(prefix) for prefix, route in changed.items() if route is None}
        found = {str(prefix) for prefix in changed} | set(self.routes.get(group, []))
        self.routes[group] = sorted(found - gone)

    def initial_sync_done(self) -> None:
        self.calls.append("End-of-RIB")

    def begin_shutdown(self, mode: ShutdownMode) -> bool:
        self.calls.append(mode)
        return self._drains

    async def run(self) -> None:
        self.running = True
        try:
            await self.ended.wait()
        finally:
            self.running = False


class Bfd:
    """Twin of ``BfdWatcher``."""

    def __init__(self) -> None:
        self.configured: list[tuple[Config, Mapping[str, str]]] = []
        self.running = False

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        self.configured.append((config, labels))

    async def run(self) -> None:
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False


class Node:
    """An announcer between its twins."""

    def __init__(self, *, drains: bool = False, drain_time: float = 0.0) -> None:
        self.sessions = Sessions(drains=drains)
        self.bfd = Bfd()
        self.announcer = BgpAnnouncer(self.sessions, self.bfd, drain_time)  # type: ignore[arg-type]

    def configure(self, *peers: Peer, pools: tuple[Pool, ...] = ()) -> None:
        self.announcer.configure(Config(pools, peers), {"rack": "1"})

    def announce(self, name: str, address: str, announced: Pool) -> None:
        addresses = (ip_address(address),)
        self.announcer.announce(f"default/{name}", Announcement(addresses, announced))


async def turn() -> None:
    """Let the loop run everything that is scheduled."""
    for _ in range(3):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def pending(task: asyncio.Task[None]) -> AsyncIterator[None]:
    """Run a task for the length of a block, at the end of which it must still run."""
    await turn()
    yield
    assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def routed(*advertisements: BgpAdvertisement) -> Pool:
    made = pool("routed", "192.0.2.0/24", protocol=Protocol.BGP)
    return replace(made, bgp_advertisements=advertisements or (BgpAdvertisement(),))


async def test_a_session_is_held_with_each_peer_that_selects_the_node() -> None:
    node = Node()
    elsewhere = replace(SPINE, node_selectors=RACK2)
    node.configure(TOR, elsewhere)

    assert node.sessions.peering.sessions == (TOR.session,)
    assert node.sessions.peering.filtered == {SPINE.session}


async def test_a_peer_whose_name_alone_changes_keeps_its_session() -> None:
    node = Node()
    node.configure(TOR)
    before = node.sessions.peering
    node.configure(replace(TOR, name="tor-1"))

    assert node.sessions.peering == before


async def test_bfd_gets_the_configuration_and_the_labels() -> None:
    node = Node()
    node.configure(TOR)

    assert node.bfd.configured == [(Config((), (TOR,)), {"rack": "1"})]


async def test_a_session_has_the_password_of_the_secret_and_waits_for_it() -> None:
    where = SecretKey("tor", "password")
    config = Config((), (replace(TOR, password_secret=where), SPINE))
    node = Node()
    sessions = []
    for passwords in ({}, {where: Password("s3cret")}, {where: Password("another")}):
        node.announcer.configure(resolve_passwords(config, {}, passwords).config, {})
        sessions.append(node.sessions.peering.sessions)

    assert sessions == [
        (SPINE.session,),
        (replace(TOR.session, password="s3cret"), SPINE.session),
        (replace(TOR.session, password="another"), SPINE.session),
    ]


async def test_routes_reach_the_groups_of_the_peers_that_advertisements_name() -> None:
    node = Node()
    to_all = BgpAdvertisement(aggregation_length=24)
    to_tor = BgpAdvertisement(peers=frozenset({"tor"}))
    announced = routed(to_all, to_tor)
    node.configure(TOR, SPINE, pools=(announced,))
    node.announce("web", "192.0.2.1", announced)
    await turn()

    groups = node.sessions.peering.peer_groups
    assert groups == {TOR.session: {"tor"}, SPINE.session: UNNAMED}
    assert node.sessions.routes == {
        frozenset({"tor"}): ["192.0.2.0/24", "192.0.2.1/32"],
        UNNAMED: ["192.0.2.0/24"],
    }


async def test_an_advertisement_is_limited_to_the_nodes_that_it_selects() -> None:
    node = Node()
    announced = routed(BgpAdvertisement(node_selectors=RACK2))
    node.configure(TOR, pools=(announced,))
    node.announce("web", "192.0.2.1", announced)
    await turn()
    assert node.sessions.routes == {UNNAMED: []}

    node.announcer.configure(Config((announced,), (TOR,)), {"rack": "2"})
    await turn()
    assert node.sessions.routes == {UNNAMED: ["192.0.2.1/32"]}


async def test_an_aggregate_stays_until_its_last_service_is_withdrawn() -> None:
    node = Node()
    announced = routed(BgpAdvertisement(aggregation_length=24))
    node.configure(TOR, pools=(announced,))
    for number in (1, 2):
        node.announce(f"web{number}", f"192.0.2.{number}", announced)
    left = []
    for number in (1, 2):
        node.announcer.withdraw(f"default/web{number}", handed_over=False)
        await turn()
        left.append(node.sessions.routes[UNNAMED])

    assert left == [["192.0.2.0/24"], []]


async def test_changes_of_one_turn_of_the_loop_are_advertised_together() -> None:
    node = Node()
    announced = routed()
    node.configure(TOR, pools=(announced,))
    for number in range(1, 5):
        node.announce(f"web{number}", f"192.0.2.{number}", announced)
    node.announcer.withdraw("default/web4", handed_over=False)
    await turn()

    hosts = [f"192.0.2.{number}/32" for number in (1, 2, 3)]
    assert node.sessions.calls == [("routes", UNNAMED, hosts)]


async def test_routes_that_are_handed_over_stay_until_the_sessions_end() -> None:
    node = Node()
    announced = routed()
    node.configure(TOR, pools=(announced,))
    node.announce("web", "192.0.2.1", announced)
    await turn()
    node.announcer.withdraw("default/web", handed_over=True)
    await turn()
    assert node.sessions.routes[UNNAMED] == ["192.0.2.1/32"]


async def test_end_of_rib_follows_the_initial_routes_once() -> None:
    node = Node()
    announced = routed()
    node.configure(TOR, pools=(announced,))
    node.announce("web", "192.0.2.1", announced)
    node.announcer.initial_sync_done()
    node.announcer.initial_sync_done()
    await turn()
    node.announcer.initial_sync_done()
    await turn()

    assert node.sessions.calls == [("routes", UNNAMED, ["192.0.2.1/32"]), "End-of-RIB"]


@pytest.mark.parametrize(("drains", "mode"), [(False, RESTART), (True, DRAIN), (True, RESTART)])
async def test_routes_are_retained_where_every_session_restarts_gracefully(
    drains: bool, mode: ShutdownMode
) -> None:
    node = Node(drains=drains, drain_time=FOREVER)
    assert node.announcer.begin_shutdown(mode) is not drains
    assert node.sessions.calls == [mode]


async def test_a_drained_session_gets_the_drain_time() -> None:
    node = Node(drains=True, drain_time=FOREVER)
    node.announcer.begin_shutdown(DRAIN)

    async with pending(asyncio.create_task(node.announcer.wait_drained())):
        pass


@pytest.mark.parametrize("drains", [False, True])
async def test_nothing_is_waited_for_without_a_drained_session_or_a_drain_time(
    drains: bool,
) -> None:
    node = Node(drains=drains, drain_time=0.0 if drains else FOREVER)
    await node.announcer.wait_drained()
    node.announcer.begin_shutdown(DRAIN)
    await node.announcer.wait_drained()


async def test_sessions_and_bfd_run_until_cancelled() -> None:
    node = Node()
    async with pending(asyncio.create_task(node.announcer.run())):
        assert (node.sessions.running, node.bfd.running) == (True, True)

    assert (node.sessions.running, node.bfd.running) == (False, False)


async def test_bfd_ends_with_the_sessions() -> None:
    node = Node()
    running = asyncio.create_task(node.announcer.run())
    await turn()
    node.sessions.ended.set()
    await running

    assert not node.bfd.running
