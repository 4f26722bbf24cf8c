"""Hostile writers on every channel at once, while a thousand services are served.

``METALLB_PY_SOAK_MINUTES=30`` is the whole soak; without it half a minute with fewer services
shows that the soak itself works. ``METALLB_PY_SOAK_SEED`` repeats a run's random choices.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest
from support.kube.rig import CONFIG, Rig
from support.kube.services_admin import ServicesAdmin
from support.kube.soak import (
    TENANTS,
    WEBHOOK,
    Answers,
    Footprint,
    Writers,
    footprint,
    request_forever,
)
from support.net.waiting import poll_until

from metallb_py.lab.network import CLIENT, NODES, ROUTER

pytestmark = pytest.mark.e2e

MINUTES = float(os.environ.get("METALLB_PY_SOAK_MINUTES", "0.5"))
SEED = int(os.environ.get("METALLB_PY_SOAK_SEED", time.time_ns()))
WHOLE = MINUTES >= 10
SERVICES = 1000 if WHOLE else 100
# Permitted growth of resident memory and open files; only the whole soak is long enough for it.
GROWTH = 1.2
LINES_PER_SECOND = 100
ASKED = 20
SOAK = CONFIG.replace(
    "address-pools:\n",
    "- {peer-address: 172.30.0.50, peer-port: 1790, peer-asn: 64502, my-asn: 64500}\n"
    "address-pools:\n"
    "- {name: soaked2, protocol: layer2, addresses: [10.79.0.0/22], auto-assign: false}\n"
    "- {name: soaked3, protocol: bgp, addresses: [10.80.0.0/22], auto-assign: false}\n",
)


@pytest.fixture
def soaked(rig: Rig) -> Iterator[Rig]:
    """Provide the lab with the configuration of the soak; remove all of it afterwards."""
    rig.apply_config(SOAK)
    rig.kubectl("create", "namespace", TENANTS)
    rig.lab.controller.kill()
    rig.lab.start_controller(f"--webhook-port={WEBHOOK}")
    try:
        yield rig
    finally:
        rig.kubectl("delete", "namespace", TENANTS, "--wait=false")
        rig.kubectl("delete", "service", "-l", "soak", "--wait=false")
        rig.kubectl("delete", "nodes", "-l", "!kubernetes.io/hostname", "--wait=false")
        rig.kubectl("delete", "endpointslices", "-n", TENANTS, "--all", "--wait=false")
        rig.apply_config()
        rig.lab.controller.kill()
        rig.lab.start_controller()
        poll_until(
            lambda: not rig.draining(),
            60,
            what="draining pools are removed with their last service",
        )


async def add_services(rig: Rig) -> dict[str, str]:
    """Create the services, half of them for each protocol; return their addresses by name."""
    admin = await ServicesAdmin.of(str(rig.lab.control_plane.kubeconfig("admin")), "default")
    try:
        turn = asyncio.Semaphore(30)

        async def one(number: int) -> None:
            pool = ("soaked2", "soaked3")[number % 2]
            annotations = {"metallb.universe.tf/address-pool": pool}
            meta = {"name": f"soak{number}", "labels": {"soak": ""}, "annotations": annotations}
            spec = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}
            async with turn:
                body = {"metadata": meta, "spec": spec | {"allocateLoadBalancerNodePorts": False}}
                await admin.create(admin.path, body)

        await asyncio.gather(*map(one, range(SERVICES)))
        return await until_addressed(admin)
    finally:
        await admin.close()


async def until_addressed(admin: ServicesAdmin) -> dict[str, str]:
    async with asyncio.timeout(120):
        while True:
            found = {
                service.metadata.name: ",".join(entry.ip for entry in service.ingress)
                for service in await admin.services()
                if service.metadata.name.startswith("soak")
            }
            if len(found) == SERVICES and all(found.values()):
                return found
            await asyncio.sleep(0.2)


def routes(rig: Rig) -> int:
    """Return the number of the soak's host routes with three next hops."""
    table = rig.frr("show ip route bgp")
    return sum(
        prefix.startswith("10.80.") and len(entries[0]["nexthops"]) == len(NODES)
        for prefix, entries in table.items()
    )


def footprints(rig: Rig) -> dict[str, Footprint]:
    daemons = [rig.lab.controller, *rig.lab.speakers.values()]
    return {daemon.name: footprint(daemon.process.pid) for daemon in daemons}


def lines(rig: Rig) -> dict[str, int]:
    daemons = [rig.lab.controller, *rig.lab.speakers.values()]
    return {daemon.name: daemon.log.read_bytes().count(b"\n") for daemon in daemons}


async def soak(
    rig: Rig, addresses: dict[str, str]
) -> tuple[Answers, dict[str, Footprint], Writers]:
    """Run every writer; return the answers, the footprints after the settling time, the writers."""
    answers = Answers()
    layer2 = sorted(address for address in addresses.values() if address.startswith("10.79."))
    # The last services are those whose status another controller overwrites: not requested.
    victims = [f"soak{number}" for number in range(SERVICES - 4, SERVICES)]
    asked = [address for address in layer2 if address not in {addresses[v] for v in victims}]
    writers = Writers(rig, SEED, SOAK, victims)
    settle = min(60.0, MINUTES * 60 / 4)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(request_forever(asked[:ASKED], answers, 0.05))]
        tasks += [group.create_task(writer) for writer in writers.all()]
        await asyncio.sleep(settle)
        before = footprints(rig)
        end = time.monotonic() + MINUTES * 60 - settle
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(10, left))
            unexpectedly_ended = rig.lab.programs.unexpectedly_ended()
            assert not unexpectedly_ended, "\n".join(
                program.tail() for program in unexpectedly_ended
            )
            if WHOLE:
                print({name: each.resident // 1024 for name, each in footprints(rig).items()})
        for task in tasks:
            task.cancel()
    return answers, before, writers


def test_hostile_writers_disturb_no_served_address(soaked: Rig) -> None:
    rig = soaked
    print(f"METALLB_PY_SOAK_SEED={SEED}")
    addresses = asyncio.run(add_services(rig))
    of_bgp = sum(address.startswith("10.80.") for address in addresses.values())
    poll_until(lambda: routes(rig) == of_bgp, 120, what="every route with every next hop")
    sessions, logged, began = rig.sessions_established(), lines(rig), time.monotonic()
    answers, before, writers = asyncio.run(soak(rig, addresses))
    after, seconds = footprints(rig), time.monotonic() - began
    rates = {name: (count - logged[name]) / seconds for name, count in lines(rig).items()}
    print(f"{seconds:.0f} s: {dict(writers.done)}")
    print(f"asked {answers.asked}, lost {len(answers.lost)}, longest {answers.longest:.3f} s")
    for name in after:
        print(f"{name}: {before[name]} then {after[name]}, {rates[name]:.2f} lines a second")

    assert not rig.lab.programs.unexpectedly_ended()
    assert not answers.lost, f"{len(answers.lost)} of {answers.asked}: {answers.lost[:5]}"
    same = {peer: count for peer, count in sessions.items() if peer not in (ROUTER, CLIENT)}
    assert rig.sessions_established() | same == rig.sessions_established(), "sessions stayed up"
    assert max(rates.values()) < LINES_PER_SECOND, rates
    if WHOLE:
        for name, footprint_before in before.items():
            assert after[name].resident < GROWTH * footprint_before.resident, name
            assert after[name].files < GROWTH * footprint_before.files + 20, name
    # Once the writers have ended, every service has its address again, the victims included.
    rig.apply_config(SOAK)
    admin_config = str(rig.lab.control_plane.kubeconfig("admin"))
    restored = poll_until(
        lambda: asyncio.run(_addresses(admin_config)) == addresses, 300, what="every address"
    )
    assert restored
    poll_until(lambda: routes(rig) == of_bgp, 60, what="every route is there")


async def _addresses(kubeconfig: str) -> dict[str, str]:
    admin = await ServicesAdmin.of(kubeconfig, "default")
    try:
        return await until_addressed(admin)
    finally:
        await admin.close()
