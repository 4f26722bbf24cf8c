"""``--membership=none``: a speaker is usable while the API server reports its pod as Ready.

A failed node counts as usable until Kubernetes detects it, after some 40 seconds. MetalLB up to
0.14 considered every node usable without memberlist, also those without a speaker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from metallb_py.kube.objects import Pod
from speaker.layer2.topology import NodeInterface
from speaker.membership.interface import Usable


class ReadyPods:
    """A Membership by the Ready condition of the speakers' pods, and nothing else."""

    def __init__(self, on_usable: Callable[[Usable], None]) -> None:
        self._on_usable = on_usable

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """Report the nodes whose speaker's pod is Ready as usable."""
        self._on_usable(Usable(frozenset(pod.spec.node_name for pod in pods if pod.ready)))

    def interfaces_changed(self, interfaces: tuple[NodeInterface, ...]) -> None:
        """No-op: the pod's annotation publishes them."""

    async def leave(self) -> None:
        """No-op: the API server reports the pod's end."""

    async def run(self) -> None:
        """Wait until cancelled: there is nothing to run."""
        await asyncio.get_running_loop().create_future()
