"""Services created at once on a kube-apiserver: time until all have addresses, and memory.

``METALLB_PY_BENCH_SERVICES=10000`` measures that number after the 1,000, and prints the ratio; the
1,000 still exist then, and count in the memory. An API server accepts fewer creates than a
controller can serve, so the backlog shows the controller alone: it starts when all exist.

Measured with ``METALLB_PY_BENCH_SERVICES=10000 nice -n 5 pytest -s tests/bench/test_services.py``,
one run of each test on two cores with other load (5 to 19), that of kube-apiserver 1.34
included:

====================  ========  =====================  ===================
services              created   last address after     controller's peak
====================  ========  =====================  ===================
1,000 at once         10 s      0.01 s (last create)   75 MiB
10,000 at once        228 s     0.00 s (last create)   111 MiB
1,000 as a backlog    6 s       13 s (its start)       74 MiB
10,000 as a backlog   165 s     56 s (its start)       114 MiB
====================  ========  =====================  ===================

The load differed from row to row, so the rows give no ratio: with nearly idle cores (load 3 to 5)
a backlog of 1,000 took 3.3 s; 10,000 was not measured under this load.

The creates get slower with the number of services because the API server, for its own metrics,
lists all cluster IPs twice with every create: 27 % of its processor time in a profile between
1,000 and some 2,000 services. In 1.34 the feature gate of that allocator
(MultiCIDRServiceAllocator) is locked.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.kube.services_admin import ServicesAdmin
from support.net.requirements import require

from metallb_py.kube.objects import Resource, Service
from metallb_py.kube.reflector import Changed, Reflector, ReflectorEvent
from metallb_py.lab.binaries import find_kubernetes
from metallb_py.lab.isolate import IsolationError, isolate_this_process
from metallb_py.lab.lab import Lab, LabOptions

FEW = 1000
MANY = int(os.environ.get("METALLB_PY_BENCH_SERVICES", FEW))
CONFIG = "address-pools: [{name: a, protocol: layer2, addresses: [10.64.0.0/12]}]"


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of one measurement."""

    creating: float
    """Seconds from the first create to the last one."""
    waiting: float
    """Seconds from the last create until all services have addresses."""
    peak: int
    """Peak resident memory of the controller, in KiB."""


class Arrivals:
    """Records the addresses of services, until a number of services have one."""

    def __init__(self, wanted: int) -> None:
        self.complete = asyncio.Event()
        self.addresses: dict[str, str] = {}
        self._wanted = wanted

    async def observe(self, event: ReflectorEvent[Service]) -> None:
        if isinstance(event, Changed) and event.new is not None and event.new.ingress:
            self.addresses[event.key] = event.new.ingress[0].ip
            if len(self.addresses) >= self._wanted:
                self.complete.set()


def peak_memory(process: int) -> int:
    """Return the peak resident memory of a process, in KiB."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert peak is not None
    return int(peak[1])


async def measure(lab: Lab, count: int, *, backlog: bool = False) -> Measured:
    """Create services in a namespace of their own, and start a controller for them.

    With ``backlog`` it starts after the last create, and its start counts as waiting.
    """
    controller = None if backlog else lab.start_controller()
    namespace = f"bench-{count}{'-backlog' if backlog else ''}"
    admin = await ServicesAdmin.of(str(lab.control_plane.kubeconfig("admin")), namespace)
    await admin.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    arrivals = Arrivals(count)
    reflector = Reflector(admin, Resource(admin.path, Service), arrivals.observe)
    watching = asyncio.create_task(reflector.run())
    try:
        began = time.monotonic()
        await admin.add_all(f"s{number}" for number in range(count))
        created = time.monotonic()
        controller = controller or lab.start_controller()
        await asyncio.wait_for(arrivals.complete.wait(), 1800)
        done = time.monotonic()
        assert len(set(arrivals.addresses.values())) == count
        return Measured(created - began, done - created, peak_memory(controller.process.pid))
    finally:
        watching.cancel()
        await admin.close()
        if controller is not None:
            controller.end()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Provide a lab without services, and without kube-proxies."""
    require(find_kubernetes("1.34") is not None, "kube-apiserver 1.34")
    try:
        isolate_this_process()
    except IsolationError as error:
        require(False, str(error))
    with Lab(tmp_path, LabOptions("real", "1.34", "builtin")) as lab:
        for proxy in lab.proxies:  # each change makes them rewrite the rules of all services
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
        yield lab


def test_time_until_services_created_at_once_have_addresses(lab: Lab) -> None:
    few = asyncio.run(measure(lab, FEW))
    report(FEW, few)
    if MANY > FEW:
        many = asyncio.run(measure(lab, MANY))
        report(MANY, many)
        print(f"last create to last address: {many.waiting / few.waiting:.1f} times as long")
        print(f"first create to last address: {_total(many) / _total(few):.1f} times as long")


def test_time_until_a_backlog_of_services_has_addresses(lab: Lab) -> None:
    few = asyncio.run(measure(lab, FEW, backlog=True))
    report(FEW, few)
    if MANY > FEW:
        many = asyncio.run(measure(lab, MANY, backlog=True))
        report(MANY, many)
        print(f"start of the controller to last address: {many.waiting / few.waiting:.1f} times")


def _total(measured: Measured) -> float:
    return measured.creating + measured.waiting


def report(count: int, measured: Measured) -> None:
    print(
        f"\n{count} services: created in {measured.creating:.1f} s; "
        f"all have addresses {measured.waiting:.2f} s after the last create; "
        f"peak memory of the controller {measured.peak / 1024:.0f} MiB"
    )
