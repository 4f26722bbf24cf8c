"""The lab's machines and their reachability, by the standard library's HTTP client."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from support.net.isolated import isolated, set_link
from support.net.waiting import TIMEOUT

from metallb_py.lab import network
from metallb_py.lab.network import CLIENT, CONTROL_PLANE, NODES, ROUTER
from metallb_py.lab.processes import LabError, Programs, wait_until

pytestmark = pytest.mark.netns
PAGE = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
MACHINES = ("client", "router", *(node.name for node in NODES), "pod1", "pod2")


def page(programs: Programs, machine: str, address: str) -> str:
    """Return the page at an address, requested from a machine; empty without an answer."""
    url = f"http://{address}:80/"
    try:
        return programs.run(sys.executable, "-c", PAGE, url, machine=machine).strip()
    except LabError:
        return ""


def serve(programs: Programs, machine: str, address: str) -> None:
    """Serve a page with the machine's name."""
    module = ["-m", "metallb_py.lab.page", machine, "80"]
    program = programs.start(f"page-{machine}", sys.executable, *module, machine=machine)
    wait_until(machine, TIMEOUT, lambda: page(programs, machine, address) == machine, program)


def test_machines_reach_each_other() -> None:
    def look() -> dict[tuple[str, str], str]:
        network.build()
        addresses = {"client": CLIENT, "router": ROUTER, "node3": NODES[2].address}
        addresses |= {node.pod.name: node.pod.address for node in NODES if node.pod}
        pairs = [
            ("client", "router"),
            ("client", "node3"),
            ("router", "client"),
            ("node1", "pod1"),
            ("node1", "pod2"),
            ("node3", "pod1"),
            ("pod1", "pod2"),
        ]
        with tempfile.TemporaryDirectory() as name, Programs(Path(name)) as programs:
            for machine in addresses:
                serve(programs, machine, addresses[machine])
            return {
                (source, target): page(programs, source, addresses[target])
                for source, target in pairs
            }

    seen = isolated(look)
    assert {target for (_, target), found in seen.items() if found != target} == set()
    assert len(seen) == 7


def test_every_machine_has_a_mac_address_of_its_own() -> None:
    def look() -> dict[str, str]:
        network.build()
        return {machine: network.mac_of(machine) for machine in MACHINES}

    macs = isolated(look)
    assert len(set(macs.values())) == len(MACHINES)


def test_link_can_be_set_down_and_up() -> None:
    def look() -> list[str]:
        network.build()
        with tempfile.TemporaryDirectory() as name, Programs(Path(name)) as programs:
            serve(programs, "node1", NODES[0].address)
            seen = [page(programs, "client", NODES[0].address)]
            set_link("node1", "down")
            seen.append(page(programs, "client", NODES[0].address))
            set_link("node1", "up")
            wait_until(
                "mended", TIMEOUT, lambda: page(programs, "client", NODES[0].address) == "node1"
            )
            return seen

    assert isolated(look) == ["node1", ""]


def test_the_control_plane_is_on_the_wire() -> None:
    def look() -> str:
        network.build()
        with tempfile.TemporaryDirectory() as name, Programs(Path(name)) as programs:
            serve(programs, "-", CONTROL_PLANE)
            return page(programs, "node2", CONTROL_PLANE)

    assert isolated(look) == "-"
