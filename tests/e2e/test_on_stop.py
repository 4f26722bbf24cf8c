"""What the router knows of a node whose speaker restarts, or is told to end on a cordoned node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.cluster import CONFIG, Rig, eventually

from metallb_py.lab.network import NODES

pytestmark = pytest.mark.e2e
KEEPING = CONFIG.replace("my-asn: 64500\n", "my-asn: 64500\n  graceful-restart: true\n")
EVERYBODY = {node.address for node in NODES}
NODE = NODES[1]


@pytest.fixture
def address(rig: Rig) -> Iterator[str]:
    """Provide an address that every node advertises, by sessions that outlive their speaker."""
    rig.apply_config(KEEPING)
    rig.add_service("kept", "routed")
    made = eventually(lambda: rig.address("kept"))
    eventually(lambda: rig.next_hops(made) == EVERYBODY, what="all advertise it")
    eventually(lambda: neighbor(rig).get("gracefulRestartInfo", {}), what="they agreed")
    yield made
    rig.delete_service("kept")
    rig.apply_config()
    eventually(rig.is_ready, what="sessions without it")


def test_a_speaker_that_is_upgraded_leaves_its_routes(rig: Rig, address: str) -> None:
    rig.lab.speakers[NODE.name].end()
    assert said(rig, "peerKeepsRoutes")["reason"] == "speaker restarts"
    eventually(lambda: rig.sessions()[NODE.address] != "Established", what="its session is gone")
    assert rig.next_hops(address) == EVERYBODY
    assert rig.page(address)

    rig.lab.start_speaker(NODE)
    eventually(lambda: rig.sessions()[NODE.address] == "Established", what="it is back")
    eventually(lambda: not path(rig, address).get("stale"), what="its routes are fresh")
    assert rig.next_hops(address) == EVERYBODY
    assert rig.page(address)


def test_on_a_cordoned_node_it_drains(rig: Rig, address: str) -> None:
    rig.kubectl("cordon", NODE.name)
    try:
        eventually(lambda: node_is_cordoned(rig), what="it is cordoned")
        rig.lab.speakers[NODE.name].process.terminate()
        eventually(lambda: "community" in path(rig, address), what="other ways are asked for")
        assert path(rig, address)["community"]["string"] == "graceful-shutdown"
        rig.lab.speakers[NODE.name].end()
        eventually(lambda: rig.next_hops(address) == EVERYBODY - {NODE.address})
        assert neighbor(rig)["lastShutdownDescription"] == "node is cordoned"
        assert said(rig, "sessionDraining")["reason"] == "node is cordoned"
    finally:
        rig.kubectl("uncordon", NODE.name)
        rig.lab.start_speaker(NODE)
    eventually(lambda: rig.next_hops(address) == EVERYBODY, what="it is back")


def node_is_cordoned(rig: Rig) -> bool:
    spec = rig.kubectl("get", "node", NODE.name, "-o", "jsonpath={.spec.unschedulable}")
    return spec == "true"


def said(rig: Rig, event: str) -> dict[str, Any]:
    """Return the last line of the node's speaker about an event."""
    return [line for line in rig.log(f"speaker-{NODE.name}") if line.get("event") == event][-1]


def neighbor(rig: Rig) -> dict[str, Any]:
    """Return what FRR knows of the node."""
    told: dict[str, Any] = rig.frr(f"show bgp neighbors {NODE.address}").get(NODE.address, {})
    return told


def path(rig: Rig, address: str) -> dict[str, Any]:
    """Return the path over the node, as FRR's BGP has it."""
    paths: list[dict[str, Any]] = rig.frr(f"show bgp ipv4 unicast {address}/32").get("paths", [])
    mine = [one for one in paths if one["peer"]["peerId"] == NODE.address]
    return mine[0] if mine else {}
