"""Operations on Services of a real API server, one at a time and in bulk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Self

import msgspec

from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import ObjectList, Service

MAX_CONCURRENT = 30
POOL = "metallb.universe.tf/address-pool"


class ServicesAdmin(KubeClient):
    """A client for the Services of one namespace."""

    path: str

    @classmethod
    async def of(cls, kubeconfig: str, namespace: str) -> Self:
        admin = await cls.connect(kubeconfig)
        admin.path = f"/api/v1/namespaces/{namespace}/services"
        return admin

    async def add(self, name: str, pool: str = "") -> None:
        spec = {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": False,  # there are fewer of them than services here
            "ports": [{"port": 80}],
        }
        meta = {"name": name, "annotations": {POOL: pool} if pool else {}}
        await self.create(self.path, {"metadata": meta, "spec": spec})

    async def add_all(self, names: Iterable[str], pool: str = "") -> None:
        await _for_each(names, lambda name: self.add(name, pool))

    async def change(self, name: str, change: dict[str, object]) -> None:
        await self.patch(f"{self.path}/{name}", change)

    async def remove(self, name: str) -> None:
        await self._read("DELETE", f"{self.path}/{name}")

    async def remove_all(self) -> None:
        """Delete all, one by one: for all in one request a busy server takes over half a minute."""
        await _for_each([item.metadata.name for item in await self.services()], self.remove)

    async def services(self) -> list[Service]:
        items = msgspec.json.decode(await self.get(self.path), type=ObjectList).items or ()
        return [msgspec.json.decode(item, type=Service) for item in items]


async def _for_each(names: Iterable[str], act: Callable[[str], Awaitable[None]]) -> None:
    turn = asyncio.Semaphore(MAX_CONCURRENT)

    async def one(name: str) -> None:
        async with turn:
            await act(name)

    await asyncio.gather(*map(one, names))
