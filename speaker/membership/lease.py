"""``--membership=lease``: a speaker is usable while it renews its Lease.

For clusters that block the gossip port.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Collection
from typing import assert_never

from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Pod
from metallb_py.kube.reflector import Reachable, Undecodable, Unreachable
from metallb_py.runtime.log import Logger
from metallb_py.runtime.object_reports import ObjectReporter
from speaker.layer2.topology import NodeInterface
from speaker.membership.interface import Usable
from speaker.membership.io.lease_driver import (
    Contested,
    Holder,
    LeaseEvent,
    LeaseMembers,
    Listener,
    Unrenewed,
)


class LeaseMembership:
    """A Membership by Leases. Construct it on the event loop that runs it."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        node: str,
        log: Logger,
        objects: ObjectReporter,
        on_usable: Callable[[Usable], None],
    ) -> None:
        self._log = log
        self._objects = objects
        self._on_usable = on_usable
        holder = Holder(namespace, node, f"{node}_{uuid.uuid4()}")
        listener = Listener(self._on_members, lambda: None, self._on_event)
        self._members = LeaseMembers(client, holder, listener, random.random)

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """No-op: liveness comes from Leases."""

    def interfaces_changed(self, interfaces: tuple[NodeInterface, ...]) -> None:
        """No-op: the pod's annotation publishes them."""

    async def leave(self) -> None:
        """Delete this node's Lease, so that other nodes take over at once."""
        await self._members.leave()

    async def run(self) -> None:
        """Renew this node's Lease and watch the others' until cancelled."""
        await self._members.run()

    def _on_members(self, nodes: frozenset[str]) -> None:
        self._on_usable(Usable(nodes))

    def _on_event(self, event: LeaseEvent) -> None:
        match event:
            case Contested(identity):
                message = "another process has this node's lease: are there two speakers?"
                self._log.error(message, event="leaseContested", identity=identity)
            case Unrenewed(error):
                message = "failed to write own lease"
                self._log.error(message, op="renewLease", error=str(error))
            case Unreachable(error):
                message = "API server does not answer, keeping the members that are known"
                self._log.error(message, op="watch", resource="leases", error=str(error))
            case Reachable():
                self._log.info("API server answers again", op="watch", resource="leases")
            case Undecodable():
                self._objects.undecodable(event)
            case _:
                assert_never(event)
