"""Which nodes have a usable speaker: one small interface, and three ways to find out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from metallb_py.kube.objects import Pod
from speaker.layer2.topology import Wire


@dataclass(frozen=True, slots=True)
class Usable:
    """The nodes with a usable speaker; and on which wires they are, where they say so here."""

    nodes: frozenset[str] = frozenset()
    wires: Mapping[str, tuple[Wire, ...]] = field(default_factory=dict)


class Membership(Protocol):
    """Tells of a change by the callback that it was made with, first when it knows all."""

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """These are the pods of all speakers."""

    def wires_changed(self, wires: tuple[Wire, ...]) -> None:
        """This node is on these wires."""

    async def leave(self) -> None:
        """Have the other nodes take over; within a second."""

    async def run(self) -> None:
        """Take part until cancelled; to be called when this node could announce."""
