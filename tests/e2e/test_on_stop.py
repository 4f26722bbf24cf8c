"""Routes at the router while a speaker restarts, or shuts down on a cordoned node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

from metallb_py.lab.network import NODES

pytestmark = pytest.mark.e2e
GRACEFUL_RESTART = CONFIG.replace("my-asn: 64500\n", "my-asn: 64500\n  graceful-restart: true\n")
ALL_NODES = {node.address for node in NODES}
NODE = NODES[1]


@pytest.fixture
def address(rig: Rig) -> Iterator[str]:
    """Provide an address that every node advertises over sessions with graceful restart."""
    rig.apply_config(GRACEFUL_RESTART)
    rig.add_service("kept", "routed")
    made = poll_until(lambda: rig.address("kept"))
    poll_until(lambda: rig.next_hops(made) == ALL_NODES, what="all advertise it")
    poll_until(
        lambda: neighbor(rig).get("gracefulRestartInfo", {}), what="graceful restart is negotiated"
    )
    yield made
    rig.delete_service("kept")
    rig.apply_config()
    poll_until(rig.is_ready, what="sessions without graceful restart")


def test_graceful_restart_keeps_routes_while_a_speaker_restarts(rig: Rig, address: str) -> None:
    rig.lab.speakers[NODE.name].end()
    assert last_logged(rig, "peerKeepsRoutes")["reason"] == "speaker restarts"
    poll_until(lambda: rig.sessions()[NODE.address] != "Established", what="its session is down")
    assert rig.next_hops(address) == ALL_NODES
    assert rig.page(address)

    rig.lab.start_speaker(NODE)
    poll_until(lambda: rig.sessions()[NODE.address] == "Established", what="it is back")
    poll_until(lambda: not path(rig, address).get("stale"), what="its routes are fresh")
    assert rig.next_hops(address) == ALL_NODES
    assert rig.page(address)


def test_shutdown_on_a_cordoned_node_sends_graceful_shutdown(rig: Rig, address: str) -> None:
    rig.kubectl("cordon", NODE.name)
    try:
        poll_until(lambda: node_is_cordoned(rig), what="it is cordoned")
        rig.lab.speakers[NODE.name].process.terminate()
        poll_until(
            lambda: "community" in path(rig, address), what="GRACEFUL_SHUTDOWN is advertised"
        )
        assert path(rig, address)["community"]["string"] == "graceful-shutdown"
        rig.lab.speakers[NODE.name].end()
        poll_until(lambda: rig.next_hops(address) == ALL_NODES - {NODE.address})
        assert neighbor(rig)["lastShutdownDescription"] == "node is cordoned"
        assert last_logged(rig, "sessionDraining")["reason"] == "node is cordoned"
    finally:
        rig.kubectl("uncordon", NODE.name)
        rig.lab.start_speaker(NODE)
    poll_until(lambda: rig.next_hops(address) == ALL_NODES, what="it is back")


def node_is_cordoned(rig: Rig) -> bool:
    spec = rig.kubectl("get", "node", NODE.name, "-o", "jsonpath={.spec.unschedulable}")
    return spec == "true"


def last_logged(rig: Rig, event: str) -> dict[str, Any]:
    """Return the last log line of the node's speaker with this event."""
    return [line for line in rig.log(f"speaker-{NODE.name}") if line.get("event") == event][-1]


def neighbor(rig: Rig) -> dict[str, Any]:
    """Return FRR's state of the node as a neighbor."""
    found: dict[str, Any] = rig.frr(f"show bgp neighbors {NODE.address}").get(NODE.address, {})
    return found


def path(rig: Rig, address: str) -> dict[str, Any]:
    """Return the path over the node, as FRR's BGP has it."""
    paths: list[dict[str, Any]] = rig.frr(f"show bgp ipv4 unicast {address}/32").get("paths", [])
    mine = [one for one in paths if one["peer"]["peerId"] == NODE.address]
    return mine[0] if mine else {}
