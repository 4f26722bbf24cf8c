"""Interfaces of speaker membership: which nodes have a usable speaker. Short: types alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from metallb_py.kube.objects import Pod
from speaker.layer2.topology import NodeInterface


@dataclass(frozen=True, slots=True)
class Usable:
    """The nodes with a usable speaker, and the interfaces of those that publish them this way."""

    nodes: frozenset[str] = frozenset()
    interfaces: Mapping[str, tuple[NodeInterface, ...]] = field(default_factory=dict)


class Membership(Protocol):
    """Detects the nodes with a usable speaker. Optional capabilities are protocols of their own."""

    async def run(self, publish: Callable[[Usable], None]) -> None:
        """Run until cancelled. Call it once this node is able to announce services.

        ``publish`` receives each change, the first once the state of every speaker is known.
        """

    async def leave(self) -> None:
        """Announce that this speaker leaves, so that other nodes take over within a second."""


@runtime_checkable
class PodObserver(Protocol):
    """A Membership that depends on the speakers' pods."""

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """Handle a change of the speakers' pods; ``pods`` are all of them."""


@runtime_checkable
class InterfacePublisher(Protocol):
    """A Membership that publishes this node's interfaces to the other speakers."""

    def interfaces_changed(self, interfaces: tuple[NodeInterface, ...]) -> None:
        """Handle a change of this node's interfaces; ``interfaces`` are all of them."""
