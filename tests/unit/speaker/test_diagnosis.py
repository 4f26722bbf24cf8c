"""Nodes that announce a service, and the diagnosis of an address: which hosts should answer."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from support.kube.objects import config, pool, selector, service

from metallb_py.addresses import AddressFamily
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Protocol
from metallb_py.model.peers import Peer, SessionParameters
from speaker.decision import NO_PEER
from speaker.diagnosis import NO_SPEAKER, AnswererStatus, View, Where, expected, find, where
from speaker.layer2.eligibility import LABELED, Cluster, Exclusion, NodeState
from speaker.layer2.topology import NodeInterface

ADDRESS = ip_address("10.20.30.1")  # node1, node2, node3 in this order
MACS = {f"node{n}": f"02:00:00:00:00:0{n}" for n in (1, 2, 3)}
NODES = {
    name: NodeState(interfaces=(NodeInterface("eth0", mac, (ip_network("10.20.30.0/24"),)),))
    for name, mac in MACS.items()
}
SOME = ServiceEndpoints(1, frozenset({"node2"}))
WEB = service("web", ips=("10.20.30.1",))
POOLS = config(
    pool("l2", "10.20.30.0/24"), pool("routed", "198.51.100.0/24", protocol=Protocol.BGP)
)


def view(*services: object, endpoints: ServiceEndpoints | None = SOME) -> View:
    found = services or (WEB,)
    known = {s.key: endpoints for s in found if endpoints}  # type: ignore[attr-defined]
    return View(found, known, Cluster(frozenset(NODES), NODES), POOLS)  # type: ignore[arg-type]


def test_the_elected_node_should_answer() -> None:
    due = expected(ADDRESS, view())
    assert (due.node, due.services) == ("node1", ("default/web",))
    local = service("web", ips=("10.20.30.1",), external_traffic_policy="Local")
    assert expected(ADDRESS, view(local)).node == "node2"


@pytest.mark.parametrize(
    ("address", "given", "why"),
    [
        ("10.20.30.2", view(), "no service has this address"),
        ("10.20.30.1", view(endpoints=ServiceEndpoints()), "no usable endpoint on any node"),
        ("10.20.30.1", view(endpoints=None), "it has no endpoints"),
        (
            "198.51.100.1",
            view(service("web", ips=("198.51.100.1",))),
            'its pool "routed" is announced by bgp',
        ),
    ],
)
def test_no_node_should_answer(address: str, given: View, why: str) -> None:
    due = expected(ip_address(address), given)
    assert due.node == ""
    assert why in due.why


@pytest.mark.parametrize(
    ("macs", "statuses", "right"),
    [
        ([MACS["node1"]], [AnswererStatus.ELECTED], True),
        ([MACS["node1"], MACS["node1"]], [AnswererStatus.ELECTED], True),
        ([], [], False),
        ([MACS["node2"]], [AnswererStatus.NOT_ELECTED], False),
        (
            [MACS["node1"], MACS["node3"]],
            [AnswererStatus.ELECTED, AnswererStatus.NOT_ELECTED],
            False,
        ),
        (["06:00:00:00:00:01"], [AnswererStatus.UNKNOWN_HOST], False),
    ],
)
def test_status_of_the_answers(
    macs: list[str], statuses: list[AnswererStatus], right: bool
) -> None:
    finding = find(ADDRESS, macs, view())
    assert [answer.status for answer in finding.answers] == statuses
    assert finding.is_right is right


PEER = Peer(SessionParameters(64512, 64513, ip_address("10.0.0.2")))
ROUTED = pool("routed", "198.51.100.0/24", protocol=Protocol.BGP)
BOTH_PROTOCOLS = Config((pool("l2", "10.20.30.0/24"), ROUTED), (PEER,))
NAMES = frozenset({"node1", "node2", "node3"})
RACKS = {name: NodeState(labels={"rack": name[-1]}) for name in NAMES}
EXCLUDED = NodeState(excluded=Exclusion(LABELED, "it has the label"))
ON_LAYER2 = service(ips=("10.20.30.1",))  # node1 is first of all three
OVER_BGP = service(ips=("198.51.100.1",))
IN_RACK_2 = (selector(rack="2"),)


def located(
    item: Service,
    endpoints: ServiceEndpoints | None = SOME,
    *,
    usable: frozenset[str] = NAMES,
    nodes: dict[str, NodeState] | None = None,
    pools: Config = BOTH_PROTOCOLS,
) -> Where:
    known = {item.key: endpoints} if endpoints else {}
    return where(item, View((item,), known, Cluster(usable, nodes or RACKS), pools))


def test_layer2_is_announced_by_the_elected_node() -> None:
    found = located(ON_LAYER2)
    assert found.nodes == ("node1",)
    assert found.protocol is Protocol.LAYER2
    assert found.why.startswith("first of node1")
    on_layer2 = service(ips=("10.20.30.1",), external_traffic_policy="Local")
    assert located(on_layer2).nodes == ("node2",)


def test_bgp_is_announced_by_every_eligible_node() -> None:
    assert located(OVER_BGP) == Where(("node1", "node2", "node3"), Protocol.BGP, "")
    over_bgp = service(ips=("198.51.100.1",), external_traffic_policy="Local")
    assert located(over_bgp).nodes == ("node2",)
    assert located(OVER_BGP, nodes={**RACKS, "node2": EXCLUDED}).nodes == ("node1", "node3")


@pytest.mark.parametrize("item", [ON_LAYER2, OVER_BGP])
@pytest.mark.parametrize(
    ("endpoints", "usable", "nodes", "why"),
    [
        (ServiceEndpoints(), NAMES, None, "no usable endpoint on any node"),
        (None, NAMES, None, "it has no endpoints"),
        (SOME, frozenset[str](), None, NO_SPEAKER),
        (SOME, NAMES, dict.fromkeys(NAMES, EXCLUDED), "it has the label"),
    ],
)
def test_reasons_why_no_node_announces_a_service(
    item: Service,
    endpoints: ServiceEndpoints | None,
    usable: frozenset[str],
    nodes: dict[str, NodeState] | None,
    why: str,
) -> None:
    found = located(item, endpoints, usable=usable, nodes=nodes)
    assert found.nodes == ()
    assert why in found.why


@pytest.mark.parametrize("address", ["10.20.30.1", "198.51.100.1"])
def test_local_endpoints_on_nodes_without_usable_speaker_count_for_none(address: str) -> None:
    item = service(ips=(address,), external_traffic_policy="Local")
    found = located(item, usable=frozenset({"node1", "node3"}))
    assert found.nodes == ()
    assert "endpoint" in found.why


@pytest.mark.parametrize("address", ["10.20.30.1", "198.51.100.1"])
def test_an_address_of_a_node_is_announced_by_none(address: str) -> None:
    own = NodeState(addresses=frozenset({ip_address(address)}))
    found = located(service(ips=(address,)), nodes={**RACKS, "node3": own})
    assert found.nodes == ()
    assert "an address of node node3 itself" in found.why


def test_an_address_of_no_pool_is_announced_by_none() -> None:
    found = located(ON_LAYER2, pools=config())
    assert found.nodes == ()
    assert found.why.startswith("ipNotAllowed: no pool contains")


def test_bgp_without_peers_is_announced_by_none() -> None:
    assert located(OVER_BGP, pools=replace(BOTH_PROTOCOLS, peers=())) == Where(
        (), Protocol.BGP, NO_PEER
    )


def test_bgp_peers_select_nodes() -> None:
    some = replace(BOTH_PROTOCOLS, peers=(replace(PEER, node_selectors=IN_RACK_2),))
    assert located(OVER_BGP, pools=some).nodes == ("node2",)
    none = replace(BOTH_PROTOCOLS, peers=(replace(PEER, node_selectors=(selector(rack="9"),)),))
    found = located(OVER_BGP, pools=none)
    assert found.nodes == ()
    assert found.why.startswith("node1, node2, node3: no BGP peer for 198.51.100.1")


def test_bgp_advertisements_select_nodes_and_peers() -> None:
    (advertisement,) = ROUTED.bgp_advertisements

    def advertised(**changes: object) -> Where:
        changed = replace(advertisement, **changes)  # type: ignore[arg-type]
        routed = replace(ROUTED, bgp_advertisements=(changed,))
        peers = (replace(PEER, name="tor", node_selectors=()),)
        return located(OVER_BGP, pools=Config((routed,), peers))

    assert advertised(node_selectors=IN_RACK_2).nodes == ("node2",)
    assert advertised(peers=frozenset({"tor"})).nodes == ("node1", "node2", "node3")
    assert advertised(peers=frozenset({"10.0.0.2"})).nodes == ("node1", "node2", "node3")
    assert advertised(peers=frozenset({"other"})).nodes == ()


def test_bgp_peers_are_limited_to_address_families() -> None:
    both = pool("both", "198.51.100.0/24", "2001:db8::/64", protocol=Protocol.BGP)
    dual = service(ips=("198.51.100.1", "2001:db8::1"))
    ipv4 = replace(PEER.session, address_families=frozenset({AddressFamily.IPV4}))
    only4 = replace(PEER, session=ipv4)
    found = located(dual, pools=Config((both,), (only4,)))
    assert found.nodes == ("node1", "node2", "node3")
    assert "no BGP peer for 2001:db8::1" in found.why
    found = located(service(ips=("2001:db8::1",)), pools=Config((both,), (only4,)))
    assert found.nodes == ()
    assert "no BGP peer for 2001:db8::1" in found.why
    assert located(dual, pools=Config((both,), (only4, PEER))).why == ""
