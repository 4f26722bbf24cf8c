"""The interface of speaker membership: which nodes have a usable speaker."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from metallb_py.kube.objects import Pod
from speaker.layer2.topology import NodeInterface


@dataclass(frozen=True, slots=True)
class Usable:
    """The nodes with a usable speaker, and the interfaces of those that publish them this way."""

    nodes: frozenset[str] = frozenset()
    interfaces: Mapping[str, tuple[NodeInterface, ...]] = field(default_factory=dict)


class Membership(Protocol):
    """Detects the nodes with a usable speaker.

    Each change is passed to the callback that the implementation was constructed with; the first
    call follows once the state of every speaker is known.
    """

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """Handle a change of the speakers' pods; ``pods`` are all of them."""

    def interfaces_changed(self, interfaces: tuple[NodeInterface, ...]) -> None:
        """Handle a change of this node's interfaces; ``interfaces`` are all of them."""

    async def leave(self) -> None:
        """Announce that this speaker leaves, so that other nodes take over within a second."""

    async def run(self) -> None:
        """Run until cancelled. Call it once this node is able to announce services."""
