"""BGP announcer: advertises the routes of services to every peer that selects this node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from metallb_py.model.config import Config
from metallb_py.model.routes import AdvertisedService, names_in
from metallb_py.runtime.log import Logger
from speaker.announcers.bfd import BfdWatcher
from speaker.announcers.bgp_reporter import BgpReporter
from speaker.bfd.io.client import Bfd
from speaker.bgp.io.listener import BgpListener
from speaker.bgp.io.sessions import BgpSpeaker
from speaker.bgp.peering import ListenAt, peering_for
from speaker.bgp.route_table import RouteTable
from speaker.bgp.shutdown import DRAIN_TIME, ShutdownMode
from speaker.decision import Announcement
from speaker.metrics import SpeakerMetrics


def bgp_announcer(
    node_name: str,
    log: Logger,
    metrics: SpeakerMetrics,
    *,
    drain_time: float = DRAIN_TIME,
    listen: ListenAt | None = None,
) -> BgpAnnouncer:
    """Return an announcer with its sessions, its listener if there is one, BFD and the log."""
    reporter = BgpReporter(log, metrics, listens=listen is not None)
    listener = BgpListener(listen, reporter.on_listener) if listen is not None else None
    speaker = BgpSpeaker(node_name, reporter.on_event, listener)
    bfd = BfdWatcher(Bfd(), log, metrics, on_loss=speaker.bfd_down)
    return BgpAnnouncer(speaker, bfd, drain_time)


class BgpAnnouncer:
    """Announces by advertising routes over BGP sessions."""

    def __init__(
        self, speaker: BgpSpeaker, bfd: BfdWatcher, drain_time: float = DRAIN_TIME
    ) -> None:
        self._speaker = speaker
        self._bfd = bfd
        self._drain_time = drain_time
        self._table = RouteTable()
        self._advertising = False
        self._drained = 0.0  # when every session may end, on the loop's clock
        self._synced = False

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Run a session with each peer that selects a node with these labels."""
        named = names_in(ad for pool in config.pools for ad in pool.bgp_advertisements)
        peering = peering_for(config.peers, labels, named)
        self._speaker.set_peers(peering)
        self._table.configure(labels, peering.peer_groups.values())
        self._advertise()
        self._bfd.configure(config, labels)

    def announce(self, key: str, announcement: Announcement) -> None:
        """Advertise a service's addresses; replaces its earlier ones."""
        offer = AdvertisedService(
            announcement.addresses,
            announcement.pool.bgp_advertisements,
            announcement.local_endpoints,
        )
        self._table.announce(key, offer)
        self._advertise()

    def withdraw(self, key: str, *, handed_over: bool) -> None:
        """Stop advertising a service's addresses, except prefixes that other services need.

        Routes that are handed over stay: that is the end of the speaker, where each session ends
        in the mode of ``begin_shutdown``.
        """
        if not handed_over:
            self._table.withdraw(key)
            self._advertise()

    def initial_sync_done(self) -> None:
        """Send End-of-RIB, so that helpers flush stale routes (RFC 4724 section 4.1)."""
        if not self._synced:
            self._synced = True
            asyncio.get_running_loop().call_soon(
                self._speaker.initial_sync_done
            )  # after the routes

    def begin_shutdown(self, mode: ShutdownMode) -> bool:
        """Begin to shut down every session; return whether each peer retains the routes."""
        drains = self._speaker.begin_shutdown(mode)
        if drains:
            self._drained = asyncio.get_running_loop().time() + self._drain_time
        return not drains

    async def wait_drained(self) -> None:
        """Wait out the drain time, in which routers select other paths."""
        await asyncio.sleep(self._drained - asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Run the sessions until cancelled; then end each of them."""
        async with asyncio.TaskGroup() as group:
            bfd = group.create_task(self._bfd.run(), name="bfd")
            await self._speaker.run()
            bfd.cancel()

    def _advertise(self) -> None:
        """Schedule an update of the routes, once for all changes of this iteration of the loop."""
        if not self._advertising:
            self._advertising = True
            asyncio.get_running_loop().call_soon(self._advertise_now)

    def _advertise_now(self) -> None:
        self._advertising = False
        for group, changes in self._table.changes().items():
            self._speaker.change_routes(changes, group)
