"""The whole system on a real kube-apiserver, kube-proxy and FRR, as its users use it."""

from __future__ import annotations

import pytest
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.network import CONTROL_PLANE, NODES, mac_of

pytestmark = pytest.mark.e2e
ALL_NODES = {node.address for node in NODES}
BROKEN = CONFIG.replace("172.30.0.200-172.30.0.219", "172.30.0.200-172.30.0.1x")


def test_layer2_from_service_to_page(rig: Rig) -> None:
    rig.add_service("l2", "wire")
    address = poll_until(lambda: rig.address("l2"), what="address in status")
    assert address.startswith("172.30.0.2")
    poll_until(lambda: rig.owner(address))
    answers = rig.arping(address, count=3, seconds=4)
    assert len(answers) == 3, "one answer to each of three requests"
    assert len(set(answers)) == 1
    assert set(answers) <= {mac_of(node.name) for node in NODES}
    assert poll_until(lambda: rig.page(address)) in {"pod1", "pod2"}
    reasons = poll_until(lambda: {e["reason"] for e in rig.events("Service", "l2")} | set())
    assert "IPAllocated" in reasons
    annotations = rig.service("l2")["metadata"]["annotations"]
    assert annotations["metallb.universe.tf/ip-allocated-from-pool"] == "wire"
    rig.delete_service("l2")
    poll_until(lambda: not rig.arping(address), what="no ARP reply any more")


def test_bgp_from_service_to_page(rig: Rig) -> None:
    rig.add_service("bgp", "routed")
    address = poll_until(lambda: rig.address("bgp"), what="address in status")
    poll_until(lambda: rig.next_hops(address) == ALL_NODES, what="three next hops in FRR")
    assert poll_until(lambda: rig.page(address)) in {"pod1", "pod2"}
    rig.delete_service("bgp")
    poll_until(lambda: not rig.next_hops(address), what="withdrawal")


def test_traffic_policy_local_announces_only_from_nodes_with_pods(rig: Rig) -> None:
    rig.add_service("local-bgp", "routed", externalTrafficPolicy="Local")
    rig.add_service("local-l2", "wire", externalTrafficPolicy="Local")
    routed = poll_until(lambda: rig.address("local-bgp"))
    with_pods = {node.address for node in NODES if node.pod}
    poll_until(lambda: rig.next_hops(routed) == with_pods, what="next hops with pods alone")
    wire = poll_until(lambda: rig.address("local-l2"))
    assert poll_until(lambda: rig.owner(wire)) in {node.name for node in NODES if node.pod}
    rig.kubectl("delete", "service", "local-bgp", "local-l2")


def test_invalid_config_while_running_keeps_the_last_good_one(rig: Rig) -> None:
    rig.add_service("steady-l2", "wire")
    rig.add_service("steady-bgp", "routed")
    wire, routed = (poll_until(lambda n=n: rig.address(n)) for n in ("steady-l2", "steady-bgp"))
    owner = poll_until(lambda: rig.owner(wire))
    poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
    sessions = rig.sessions_established()
    rig.apply_config(BROKEN)
    try:
        poll_until(lambda: _stale(rig) == 4, what="stale on every daemon")
        (line,) = [e for e in rig.log("controller") if e.get("event") == "configStale"][-1:]
        assert 'invalid end IP "172.30.0.1x"' in line["error"]
        assert "line 8" in line["error"]
        event = poll_until(lambda: rig.events("ConfigMap", "config", NAMESPACE))[-1]
        assert event["type"] == "Warning"
        assert 'invalid end IP "172.30.0.1x"' in event["message"]
        assert rig.owner(wire) == owner
        assert rig.next_hops(routed) == ALL_NODES
        rig.add_service("meanwhile", "wire")
        assert poll_until(lambda: rig.address("meanwhile")), "the last good pools still serve"
    finally:
        rig.apply_config()
    poll_until(lambda: _stale(rig) == 0, what="no daemon is stale")
    assert rig.sessions_established() == sessions
    rig.kubectl("delete", "service", "meanwhile", "steady-l2", "steady-bgp")


def _stale(rig: Rig) -> int:
    name = "metallb_k8s_client_config_stale_bool"
    speakers = [rig.metric(node.name, node.address, name) for node in NODES]
    return sum(value == 1 for value in (*speakers, rig.metric("client", CONTROL_PLANE, name)))


def test_invalid_config_at_start_keeps_addresses_and_announcements(rig: Rig) -> None:
    rig.add_service("before-l2", "wire")
    rig.add_service("before-bgp", "routed")
    wire, routed = (poll_until(lambda n=n: rig.address(n)) for n in ("before-l2", "before-bgp"))
    owner = poll_until(lambda: rig.owner(wire))
    poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
    rig.apply_config(BROKEN)
    try:
        rig.lab.controller.kill()
        rig.lab.start_controller()
        for node in NODES:
            rig.lab.speakers[node.name].kill()
            rig.lab.start_speaker(node)
        poll_until(lambda: _stale(rig) == 4, what="stale on every daemon")
        assert poll_until(lambda: rig.owner(wire)) == owner
        poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
        rig.add_service("after", "wire")
        assert poll_until(lambda: rig.address("after")), "the last good pools still serve"
        assert (rig.address("before-l2"), rig.address("before-bgp")) == (wire, routed)
        status = rig.config_status()
        assert status["state"] == "refused"
        assert 'invalid end IP "172.30.0.1x"' in status["problems"][0]
    finally:
        rig.apply_config()
    poll_until(lambda: _stale(rig) == 0, what="no daemon is stale")
    rig.kubectl("delete", "service", "before-l2", "before-bgp", "after")


def test_services_of_a_removed_pool_keep_address_and_announcement(rig: Rig) -> None:
    rig.add_service("orphan-l2", "wire")
    rig.add_service("orphan-bgp", "routed")
    wire, routed = (poll_until(lambda n=n: rig.address(n)) for n in ("orphan-l2", "orphan-bgp"))
    owner = poll_until(lambda: rig.owner(wire))
    poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
    moved = CONFIG.replace("172.30.0.200-172.30.0.219", "172.30.0.220-172.30.0.229")
    rig.apply_config(moved.replace("198.51.100.0/24", "203.0.113.0/24"))
    try:
        poll_until(lambda: len(rig.draining()) == 2, what="both pools drain")
        rig.lab.controller.kill()
        rig.lab.start_controller()
        for node in NODES:
            rig.lab.speakers[node.name].kill()
            rig.lab.start_speaker(node)
        rig.add_service("fresh", "wire")
        assert poll_until(lambda: rig.address("fresh")).startswith("172.30.0.22")
        poll_until(lambda: rig.owner(wire) == owner, what="the same node answers")
        poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
        assert (rig.address("orphan-l2"), rig.address("orphan-bgp")) == (wire, routed)
        assert _stale(rig) == 0
        reasons = {event["reason"] for event in rig.events("Service", "orphan-l2")}
        assert "OrphanedAddresses" in reasons
        rig.kubectl("delete", "service", "orphan-l2", "orphan-bgp")
        poll_until(
            lambda: not rig.draining(), what="draining pools are removed with their last service"
        )
        poll_until(lambda: not rig.next_hops(routed))
    finally:
        rig.apply_config()
    poll_until(lambda: _stale(rig) == 0)
    rig.delete_service("fresh")
    poll_until(lambda: not rig.draining())


def test_controller_restart_renumbers_no_service(rig: Rig) -> None:
    names = [f"kept-{n}" for n in range(3)]
    for name in names:
        rig.add_service(name, "wire")
    before = {name: poll_until(lambda n=name: rig.address(n)) for name in names}
    rig.delete_service("kept-0")
    rig.lab.controller.kill()
    rig.add_service("newcomer", "wire")
    rig.lab.start_controller()
    taken = poll_until(lambda: rig.address("newcomer"))
    assert taken not in (before["kept-1"], before["kept-2"])
    assert {n: rig.address(n) for n in names[1:]} == {n: before[n] for n in names[1:]}
    rig.kubectl("delete", "service", "newcomer", *names[1:])


def test_api_server_outage_withdraws_nothing(rig: Rig) -> None:
    rig.add_service("offline-l2", "wire")
    rig.add_service("offline-bgp", "routed")
    wire, routed = (poll_until(lambda n=n: rig.address(n)) for n in ("offline-l2", "offline-bgp"))
    owner = poll_until(lambda: rig.owner(wire))
    poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
    sessions = rig.sessions_established()
    rig.lab.control_plane.kill()
    try:
        poll_until(lambda: _without_api_server(rig), what="every speaker logs a failed watch")
        assert rig.owner(wire) == owner
        assert rig.next_hops(routed) == ALL_NODES
        assert set(rig.sessions().values()) == {"Established"}
    finally:
        rig.lab.control_plane.restart()
    rig.add_service("online", "routed")
    address = poll_until(lambda: rig.address("online"), what="an address in status")
    poll_until(lambda: rig.next_hops(address) == ALL_NODES)
    assert rig.owner(wire) == owner
    assert rig.sessions_established() == sessions
    rig.kubectl("delete", "service", "online", "offline-l2", "offline-bgp")


def _without_api_server(rig: Rig) -> bool:
    logs = [rig.log(f"speaker-{node.name}") for node in NODES]
    return all(any(line.get("op") == "watch" for line in log) for log in logs)


def test_killed_speaker_announces_again_after_a_restart(rig: Rig) -> None:
    rig.add_service("again-l2", "wire")
    rig.add_service("again-bgp", "routed")
    wire, routed = (poll_until(lambda n=n: rig.address(n)) for n in ("again-l2", "again-bgp"))
    owner = poll_until(lambda: rig.owner(wire))
    poll_until(lambda: rig.next_hops(routed) == ALL_NODES)
    node = next(node for node in NODES if node.name == owner)
    rig.lab.speakers[owner].kill()
    poll_until(
        lambda: rig.next_hops(routed) == ALL_NODES - {node.address}, what="its route is withdrawn"
    )
    poll_until(lambda: rig.owner(wire) not in ("", owner), what="its responder ends with it")
    rig.lab.start_speaker(node)
    poll_until(lambda: rig.next_hops(routed) == ALL_NODES, what="its route returns")
    poll_until(lambda: rig.owner(wire) == owner, what="its address returns")
    rig.kubectl("delete", "service", "again-l2", "again-bgp")
