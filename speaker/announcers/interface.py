"""Interface of the announcers, one for each protocol that makes addresses reachable.

Short: the interfaces alone. ``Announcer`` is what every announcer has; the others are optional
capabilities, which ``speaker.app`` looks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from metallb_py.model.config import Config
from metallb_py.runtime.httpd import Check
from speaker.bgp.shutdown import ShutdownMode
from speaker.decision import Announcement


class Announcer(Protocol):
    """Makes the addresses of announced services reachable; writes its own logs and metrics."""

    def announce(self, key: str, announcement: Announcement) -> None:
        """Announce a service; replaces its earlier announcement."""

    def withdraw(self, key: str, *, handed_over: bool) -> None:
        """Stop announcing a service; with ``handed_over`` another node announces it from now on.

        One that is not announced is ignored.
        """

    async def wait_drained(self) -> None:
        """Wait until traffic has moved to other nodes: a second on layer 2, else the drain time."""

    async def run(self) -> None:
        """Run until cancelled; then shut down in order."""


@runtime_checkable
class Configurable(Protocol):
    """Capability: has settings apart from those of the announcements."""

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Use this configuration, on a node with these labels."""


@runtime_checkable
class RouteAnnouncer(Protocol):
    """Capability: announces to routers, which may keep the routes while this speaker restarts."""

    def initial_sync_done(self) -> None:
        """The initial sync is complete: every service has been announced. Idempotent."""

    def begin_shutdown(self, mode: ShutdownMode) -> bool:
        """Begin shutdown in the given mode.

        Return whether every peer retains the routes while the speaker restarts (graceful restart).
        """


@runtime_checkable
class Checked(Protocol):
    """Capability: has a condition without which this node can't announce."""

    def ready(self) -> Check:
        """Return the condition, for the readiness probe."""
