"""``--membership=none``: a speaker is usable while its pod is Ready, as the API server says.

A node that fails counts until Kubernetes notices, after some 40 seconds. MetalLB up to 0.14 took
every node for usable without memberlist, also those without a speaker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from metallb_py.kube.objects import Pod
from speaker.layer2.topology import Wire
from speaker.membership.interface import Usable


class ReadyPods:
    """A Membership that asks nobody but the API server."""

    def __init__(self, on_usable: Callable[[Usable], None]) -> None:
        self._on_usable = on_usable

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """Count the nodes whose speaker's pod is Ready."""
        self._on_usable(Usable(frozenset(pod.spec.node_name for pod in pods if pod.ready)))

    def wires_changed(self, wires: tuple[Wire, ...]) -> None:
        """The pod's annotation tells of them."""

    async def leave(self) -> None:
        """The API server tells of a pod that ends."""

    async def run(self) -> None:
        """There is nothing to take part in."""
        await asyncio.get_running_loop().create_future()
