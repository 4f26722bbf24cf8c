"""Repeated kills of the controller while services are created, changed and deleted.

``METALLB_PY_CHURN`` is the number of kills (default 10).
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from random import Random

import pytest
from support.kube.rig import CONFIG, Rig
from support.kube.services_admin import POOL, ServicesAdmin
from support.net.waiting import poll_until

from metallb_py.kube.objects import Resource, Service
from metallb_py.kube.reflector import Changed, Reflector, ReflectorEvent

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("METALLB_PY_CHURN", "10"))
SERVICES = 300
NAMESPACE = "churn"
# The first pool has too few addresses, so that services wait; the second has enough.
SIZES = {"scarce": 64, "ample": 512}
NETWORKS = {"scarce": "10.77.0.0/26", "ample": "10.78.0.0/23"}
POOLS = "".join(
    f"- {{name: {name}, protocol: layer2, addresses: [{network}], auto-assign: false}}\n"
    for name, network in NETWORKS.items()
)


class ServiceObserver:
    """Observes every state of every service; collects violations in ``faults``."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.moved: set[str] = set()
        self.written = asyncio.Event()
        self._has: dict[str, tuple[str, str]] = {}
        self._owners: dict[str, str] = {}

    async def observe(self, event: ReflectorEvent[Service]) -> None:
        if not isinstance(event, Changed):
            return
        key, had = event.key, self._has.get(event.key)
        if had is not None and (event.new is None or event.new.metadata.uid != had[0]):
            self._forget(key)
            had = None
        if event.new is not None and event.new.metadata.name not in self.moved:
            self._check_unchanged(event.new, had)
        elif had is not None:
            self._forget(key)

    def _check_unchanged(self, service: Service, had: tuple[str, str] | None) -> None:
        address = ",".join(entry.ip for entry in service.ingress)
        if had is not None and had[1] != address:
            self.faults.append(f"{service.key} had {had[1]}, has {address or 'none'}")
        if address and had is None:
            other = self._owners.setdefault(address, service.key)
            if other != service.key:
                self.faults.append(f"{address} of {other} was given to {service.key}, too")
            self._has[service.key] = (service.metadata.uid, address)
            self.written.set()

    def _forget(self, key: str) -> None:
        _, address = self._has.pop(key)
        self._owners.pop(address, None)


class Churn:
    """Creates, changes and deletes services, one after the other."""

    def __init__(self, admin: ServicesAdmin, observer: ServiceObserver, random: Random) -> None:
        self._admin = admin
        self._observer = observer
        self._random = random
        self._live: list[str] = []
        self._created = 0
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        while True:
            act = self._random.choice((self._change, self._move, self._change_type, self._delete))
            if len(self._live) < SERVICES and self._random.random() < 0.6:
                act = self._create
            if self._live or act == self._create:
                await self.once(act)

    async def once(self, act: Callable[[], Awaitable[None]]) -> None:
        await act()
        self.done[act.__name__.strip("_")] += 1

    async def fill(self) -> None:
        for _ in range(SERVICES):
            await self.once(self._create)

    async def _create(self) -> None:
        self._created += 1
        name = f"s{self._created}"
        await self._admin.add(name, self._random.choice(("scarce", "scarce", "ample")))
        self._live.append(name)

    async def _change(self) -> None:
        """Change a field that does not affect the address."""
        ports = [{"port": self._random.randrange(1, 65536)}]
        await self._admin.change(self._random.choice(self._live), {"spec": {"ports": ports}})

    async def _move(self) -> None:
        """Request another pool."""
        name = self._random.choice(self._live)
        self._observer.moved.add(name)
        pool = self._random.choice(tuple(SIZES))
        await self._admin.change(name, {"metadata": {"annotations": {POOL: pool}}})

    async def _change_type(self) -> None:
        """Change the type to ClusterIP, or back to LoadBalancer."""
        name = self._random.choice(self._live)
        self._observer.moved.add(name)
        kind = self._random.choice(("LoadBalancer", "LoadBalancer", "ClusterIP"))
        ports = False if kind == "LoadBalancer" else None
        spec = {"type": kind, "allocateLoadBalancerNodePorts": ports}
        await self._admin.change(name, {"spec": spec})

    async def _delete(self) -> None:
        name = self._random.choice(self._live)
        self._live.remove(name)
        await self._admin.remove(name)


async def kill_repeatedly(rig: Rig, observer: ServiceObserver, random: Random) -> None:
    """Kill the controller at a random time, or right after it wrote a status."""
    for _ in range(KILLS):
        observer.written.clear()
        if random.random() < 0.5:
            with suppress(TimeoutError):
                await asyncio.wait_for(observer.written.wait(), 5)
            await asyncio.sleep(random.uniform(0, 0.3))
        else:
            await asyncio.sleep(random.uniform(0, 3))
        rig.lab.controller.kill()
        rig.lab.start_controller()


def stuck(services: list[Service]) -> list[str]:
    """Return the violations that remain once nothing changes any more."""
    wrong = [f"{s.key} keeps {s.ingress}" for s in services if not s.is_load_balancer and s.ingress]
    for pool, size in SIZES.items():
        requesting = [
            s for s in services if s.is_load_balancer and s.metadata.annotation(POOL) == pool
        ]
        # A service that waits for this pool keeps its address of the other.
        own = ip_network(NETWORKS[pool])
        addresses = [e.ip for s in requesting for e in s.ingress if ip_address(e.ip) in own]
        if len(addresses) != min(len(requesting), size):
            wrong.append(f"{pool}: {len(requesting)} services have {len(addresses)} addresses")
        wrong += [f"{ip}: given {n} times" for ip, n in Counter(addresses).items() if n > 1]
    return wrong


async def churn(rig: Rig) -> None:
    random = Random(20)
    observer = ServiceObserver()
    admin = await ServicesAdmin.of(str(rig.lab.control_plane.kubeconfig("admin")), NAMESPACE)
    changes = Churn(admin, observer, random)
    reflector = Reflector(admin, Resource(admin.path, Service), observer.observe)
    tasks = [asyncio.create_task(reflector.run())]
    try:
        await changes.fill()
        tasks.append(asyncio.create_task(changes.run()))
        await kill_repeatedly(rig, observer, Random(21))
        tasks[1].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[1]
        async with asyncio.timeout(180):
            while wrong := stuck(await admin.services()):
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"services are stuck: {wrong}")
    finally:
        for task in tasks:
            task.cancel()
        await admin.close()
    print(f"{KILLS} kills during {dict(changes.done)}")
    assert not observer.faults
    assert len(changes.done) == 5, "every kind of change happened"


def test_killed_controller_loses_and_duplicates_no_address(rig: Rig) -> None:
    rig.apply_config(CONFIG + POOLS)
    rig.kubectl("create", "namespace", NAMESPACE)
    try:
        asyncio.run(churn(rig))
    finally:
        rig.kubectl("delete", "service", "-n", NAMESPACE, "--all", "--wait=false")
        rig.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        rig.apply_config()
        poll_until(
            lambda: not rig.draining(), what="draining pools are removed with their last service"
        )
