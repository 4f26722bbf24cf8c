"""``--membership=none``: a speaker is usable while its pod is Ready. Short: one Membership.

A failed node counts as usable until Kubernetes detects it, after some 40 seconds. MetalLB up to
0.14 considered every node usable without memberlist, also those without a speaker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from metallb_py.kube.objects import Pod
from speaker.membership.interface import Usable


class ReadyPods:
    """A Membership by the Ready condition of the speakers' pods, and nothing else."""

    def __init__(self) -> None:
        self._publish: Callable[[Usable], None] | None = None
        self._usable: Usable | None = None

    def pods_changed(self, pods: Collection[Pod]) -> None:
        """Publish the nodes whose speaker's pod is Ready as usable."""
        self._usable = Usable(frozenset(pod.spec.node_name for pod in pods if pod.ready))
        if self._publish is not None:
            self._publish(self._usable)

    async def leave(self) -> None:
        """No-op: the API server reports the pod's end."""

    async def run(self, publish: Callable[[Usable], None]) -> None:
        """Publish each change until cancelled."""
        self._publish = publish
        if self._usable is not None:
            publish(self._usable)
        await asyncio.get_running_loop().create_future()
