"""How a node makes addresses reachable: one small interface, one announcer for each protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from metallb_py.config.model import Config
from speaker.decision import Announcement


class Announcer(Protocol):
    """Makes what it is told to reachable, and tells its logs and metrics itself."""

    def configure(self, config: Config, labels: Mapping[str, str]) -> None:
        """Use this configuration, on a node with these labels."""

    def announce(self, key: str, announcement: Announcement) -> None:
        """Announce a service, in place of what was announced for it before."""

    def withdraw(self, key: str) -> None:
        """Stop announcing a service. One that is not announced is ignored."""

    def hand_over(self, key: str) -> None:
        """The same, where another node announces it from now on."""

    async def settle(self) -> None:
        """Wait until what was handed over can be let go: a second at the most."""

    async def run(self) -> None:
        """Do the work until cancelled; then end in good order."""
