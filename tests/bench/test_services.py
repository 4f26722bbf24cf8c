"""Services created at once on a real kube-apiserver: until all have addresses, and the memory.

``METALLB_PY_BENCH_SERVICES=10000`` measures that many after the 1,000, and prints the ratio; the
1,000 are still there then, and count in the memory. Because an API server takes fewer creates than
a controller can serve, a third run shows the controller alone: it starts when all are there.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.parts import require

from metallb_py.cli.lab.binaries import find_kubernetes
from metallb_py.cli.lab.isolate import IsolationError, isolate_this_process
from metallb_py.cli.lab.lab import Lab, Wishes
from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Service
from metallb_py.kube.reflector import Changed, Reflector, ReflectorEvent
from metallb_py.kube.resource import Resource

AT_ONCE = 30
FEW = 1000
MANY = int(os.environ.get("METALLB_PY_BENCH_SERVICES", FEW))
CONFIG = "address-pools: [{name: a, protocol: layer2, addresses: [10.64.0.0/12]}]"


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, and KiB of memory."""

    creating: float
    waiting: float
    peak: int


class Arrivals:
    """Sees services come and get their addresses."""

    def __init__(self, wanted: int) -> None:
        self.all_there = asyncio.Event()
        self.addresses: dict[str, str] = {}
        self._wanted = wanted

    async def see(self, event: ReflectorEvent[Service]) -> None:
        if isinstance(event, Changed) and event.new is not None and event.new.ingress:
            self.addresses[event.key] = event.new.ingress[0].ip
            if len(self.addresses) >= self._wanted:
                self.all_there.set()


def path_of(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/services"


async def create(client: KubeClient, namespace: str, name: str) -> None:
    spec = {
        "type": "LoadBalancer",
        "allocateLoadBalancerNodePorts": False,  # there are fewer of them than services here
        "ports": [{"port": 80}],
    }
    await client.create(path_of(namespace), {"metadata": {"name": name}, "spec": spec})


def peak_memory(process: int) -> int:
    """Return the most resident memory that a process ever had, in KiB."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert peak is not None
    return int(peak[1])


async def measure(lab: Lab, count: int, *, backlog: bool = False) -> Measured:
    """Create services in a namespace of their own, with a controller started for them.

    With ``backlog`` it starts when the last one was created, and its start counts as waiting.
    """
    controller = None if backlog else lab.start_controller()
    client = await KubeClient.connect(str(lab.control_plane.kubeconfig("admin")))
    namespace = f"bench-{count}{'-backlog' if backlog else ''}"
    await client.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    arrivals = Arrivals(count)
    reflector = Reflector(client, Resource(path_of(namespace), Service), arrivals.see)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with turns:
            await create(client, namespace, f"s{number}")

    watching = asyncio.create_task(reflector.run())
    try:
        began = time.monotonic()
        await asyncio.gather(*(one(number) for number in range(count)))
        created = time.monotonic()
        controller = controller or lab.start_controller()
        await asyncio.wait_for(arrivals.all_there.wait(), 1800)
        done = time.monotonic()
        assert len(set(arrivals.addresses.values())) == count
        return Measured(created - began, done - created, peak_memory(controller.process.pid))
    finally:
        watching.cancel()
        await client.close()
        if controller is not None:
            controller.end()


def test_services_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    require(find_kubernetes("1.34") is not None, "kube-apiserver 1.34")
    try:
        isolate_this_process()
    except IsolationError as error:
        require(False, str(error))
    folder = tmp_path_factory.mktemp("lab")
    with Lab(folder, Wishes("real", "1.34", "builtin")) as lab:
        for proxy in lab.proxies:  # each change makes them write the rules of all services anew
            proxy.end()
        meta = {"namespace": "metallb-system", "name": "config"}
        lab.cluster.apply(
            [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": meta,
                    "data": {"config": CONFIG},
                }
            ]
        )
        few = asyncio.run(measure(lab, FEW))
        report(FEW, few)
        if MANY > FEW:
            many = asyncio.run(measure(lab, MANY))
            report(MANY, many)
            print(f"last create to last address: {many.waiting / few.waiting:.1f} times as long")
            print(f"first create to last address: {_total(many) / _total(few):.1f} times as long")
        backlog = asyncio.run(measure(lab, FEW, backlog=True))
        print(f"a controller that starts when {FEW} wait serves all within {backlog.waiting:.1f} s")


def _total(measured: Measured) -> float:
    return measured.creating + measured.waiting


def report(count: int, measured: Measured) -> None:
    print(
        f"\n{count} services: created in {measured.creating:.1f} s; "
        f"all have addresses {measured.waiting:.2f} s after the last create; "
        f"peak memory of the controller {measured.peak / 1024:.0f} MiB"
    )
