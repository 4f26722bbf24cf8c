"""How a node makes addresses reachable: one small interface, one announcer for each protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from metallb_py.model.config import Config
from speaker.bgp.shutdown import Parting
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

    def complete(self) -> None:
        """All that is to be announced from the start was told. May be said again."""

    def part(self, parting: Parting) -> None:
        """The speaker is about to end so."""

    @property
    def stays(self) -> bool:
        """Whether, after ``part``, all stays reachable over this node until the speaker is back."""

    async def settle(self) -> None:
        """Wait until what was handed over can be let go: a second, or the drain time."""

    async def run(self) -> None:
        """Do the work until cancelled; then end in good order."""
