"""Interface of the announcers, one for each protocol that makes addresses reachable.

Short: the interface alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from metallb_py.model.config import Config
from speaker.bgp.shutdown import ShutdownMode
from speaker.decision import Announcement


class Announcer(Protocol):
    """Makes the addresses of announced services reachable; writes its own logs and metrics."""

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Use this configuration, on a node with these labels."""

    def announce(self, key: str, announcement: Announcement) -> None:
        """Announce a service; replaces its earlier announcement."""

    def withdraw(self, key: str) -> None:
        """Stop announcing a service. One that is not announced is ignored."""

    def hand_over(self, key: str) -> None:
        """Stop announcing a service that another node announces from now on."""

    def initial_sync_done(self) -> None:
        """The initial sync is complete: every service has been announced. Idempotent."""

    def begin_shutdown(self, mode: ShutdownMode) -> None:
        """Begin shutdown in the given mode."""

    @property
    def retains_routes(self) -> bool:
        """Whether every peer retains the routes while the speaker restarts (graceful restart).

        Decided by ``begin_shutdown``.
        """

    async def wait_drained(self) -> None:
        """Wait until traffic has moved to other nodes: a second on layer 2, else the drain time."""

    async def run(self) -> None:
        """Run until cancelled; then shut down in order."""
