"""The speaker's core: events in, effects out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct
from support.kube.objects import config, pool, selector, service

from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.model.config import Config, Protocol
from metallb_py.model.peers import Peer, SessionParameters
from speaker.core import (
    AddressRejected,
    Adjust,
    Announce,
    Announced,
    AnnouncedOffSubnet,
    ConfigApplied,
    ConfigRefused,
    DecisionFailed,
    Effect,
    LabelsChanged,
    Source,
    Speaker,
    Unannounced,
    Withdraw,
)
from speaker.decision import Announcement
from speaker.layer2.eligibility import Exclusion, NodeState
from speaker.layer2.topology import NodeInterface

KEY = "default/web"
SPEAKERS = ("node1", "node2", "node3")
LAYER2 = config(pool("l2", "10.20.30.0/24"))
PEER = Peer(SessionParameters(64512, 64513, ip_address("10.0.0.2")))
UNROUTED = config(pool("routed", "10.20.30.0/24", protocol=Protocol.BGP))
ROUTED = replace(UNROUTED, peers=(PEER,))
SOME = ServiceEndpoints(1, frozenset({"node2"}))
WEB = service(ips=("10.20.30.1",))


def summary(effects: tuple[Effect, ...]) -> list[str]:
    """Show effects in short: +address or -reason."""
    short = []
    for effect in effects:
        match effect:
            case Announce(_, announcement, _):
                short.append("+" + ",".join(map(str, announcement.addresses)))
            case Withdraw(_, _, reason, _):
                short.append("-" + reason)
            case _:
                short.append(type(effect).__name__)
    return short


def running(node: str = "node1", settings: Config = LAYER2) -> Speaker:
    core = Speaker(node)
    core.service_changed(KEY, WEB)
    core.endpoints_changed(KEY, SOME)
    core.cluster_changed(SPEAKERS, {})
    core.config_changed(settings)
    for source in Source:
        core.synced(source)
    return core


@pytest.mark.parametrize("last", Source)
def test_nothing_is_announced_before_every_source_is_synced(last: Source) -> None:
    core = Speaker("node1")
    core.service_changed(KEY, WEB)
    core.endpoints_changed(KEY, SOME)
    core.cluster_changed(("node1",), {})
    if last is not Source.CONFIG:
        core.config_changed(LAYER2)
    for source in Source:
        if source not in (last, Source.CONFIG):
            assert core.synced(source) == ()
    final = core.config_changed(LAYER2) if last is Source.CONFIG else core.synced(last)
    assert "+10.20.30.1" in summary(final)


def test_an_unchanged_service_is_not_announced_again() -> None:
    core = running()
    assert core.service_changed(KEY, service(ips=("10.20.30.1",), version="2")) == ()
    assert core.endpoints_changed(KEY, SOME) == ()
    assert summary(core.config_changed(LAYER2)) == ["ConfigApplied"]


def test_the_owner_changes_with_the_speakers() -> None:
    owner, successor = running("node1"), running("node2")
    assert summary(successor.cluster_changed(("node2", "node3"), {})) == ["+10.20.30.1"]
    assert summary(owner.cluster_changed(("node2", "node3"), {})) == ["-notOwner"]
    assert summary(successor.cluster_changed(("node1", "node2"), {})) == ["-notOwner"]


def test_a_deleted_service_is_withdrawn_once() -> None:
    core = running()
    assert summary(core.service_changed(KEY, None)) == ["-serviceDeleted"]
    assert core.service_changed(KEY, None) == ()


def test_without_endpoints_nothing_is_announced() -> None:
    core = running(settings=ROUTED)
    assert summary(core.endpoints_changed(KEY, ServiceEndpoints())) == ["-noEndpoints"]
    assert summary(core.endpoints_changed(KEY, SOME)) == ["+10.20.30.1"]
    assert summary(core.endpoints_changed(KEY, None)) == ["-serviceDeleted"]


def test_another_number_of_endpoints_is_an_adjust_effect_for_local() -> None:
    core = running(settings=ROUTED)
    local = service(ips=("10.20.30.1",), external_traffic_policy="Local")

    def count(number: int) -> tuple[Effect, ...]:
        nodes = frozenset({"node1"})
        return core.endpoints_changed(
            KEY, ServiceEndpoints(number, nodes, serving={"node1": number})
        )

    assert count(1) == ()
    (first,) = core.service_changed(KEY, local)
    (second,) = count(2)
    for effect, number in ((first, 1), (second, 2)):
        assert isinstance(effect, Adjust)
        assert effect.announcement.local_endpoints == number
    assert count(2) == ()
    assert summary(core.endpoints_changed(KEY, ServiceEndpoints())) == ["-noLocalEndpoints"]
    assert summary(count(3)) == ["+10.20.30.1"]


def test_a_new_address_replaces_the_old_one() -> None:
    core = running(settings=ROUTED)
    moved = core.service_changed(KEY, service(ips=("10.20.30.9",)))
    assert summary(moved) == ["-loadBalancerIPChanged", "+10.20.30.9"]


def test_a_pool_that_changes_its_protocol() -> None:
    core = running()
    assert summary(core.config_changed(ROUTED)) == [
        "ConfigApplied",
        "-protocolChanged",
        "+10.20.30.1",
    ]


def test_routes_are_not_handed_over_to_the_owner_of_a_pool_that_becomes_layer2() -> None:
    core = running("node2", settings=ROUTED)
    moved = config(pool("routed", "10.20.30.0/24"))
    (withdrawn,) = (each for each in core.config_changed(moved) if isinstance(each, Withdraw))
    assert (withdrawn.announcement.protocol, withdrawn.reason) == (Protocol.BGP, "notOwner")
    assert not withdrawn.handed_over  # else the BGP announcer would advertise them for good


def test_a_configuration_that_drops_an_address_in_use_waits_on_every_node() -> None:
    elsewhere = config(pool("b", "203.0.113.0/24"))
    for node in ("node1", "node2"):
        core = running(node)
        (refused,) = core.config_changed(elsewhere)
        assert isinstance(refused, ConfigRefused)
        (problem,) = refused.problems
        assert 'service "default/web" cannot own ["10.20.30.1"] under new config' in problem
        assert ConfigApplied(elsewhere) in core.service_changed(KEY, None)


def test_an_invalid_configuration_ends_the_wait_of_an_earlier_one() -> None:
    core = running()
    core.config_changed(config(pool("b", "203.0.113.0/24")))
    core.config_invalid()
    assert summary(core.service_changed(KEY, None)) == ["-serviceDeleted"]


def test_an_address_in_no_pool_is_reported_once() -> None:
    core = running()
    stray = service("stray", ips=("203.0.113.1",))
    core.endpoints_changed(stray.key, SOME)
    effects = core.service_changed(stray.key, stray)
    (refused,) = (effect for effect in effects if isinstance(effect, AddressRejected))
    assert refused.verdict.reason == "ipNotAllowed"
    assert core.service_changed(stray.key, stray) == ()


def test_services_of_another_load_balancer_class_are_ignored() -> None:
    core = running()
    theirs = service("theirs", ips=("10.20.30.2",), load_balancer_class="other")
    core.endpoints_changed(theirs.key, SOME)
    assert core.service_changed(theirs.key, theirs) == ()


def test_changed_node_labels_are_reported_once() -> None:
    core = running()
    nodes = {"node1": NodeState({"rack": "1"}), "node2": NodeState({"rack": "2"})}
    assert core.cluster_changed(SPEAKERS, nodes) == (LabelsChanged({"rack": "1"}),)
    assert core.cluster_changed(SPEAKERS, nodes) == ()


def test_a_second_configuration_before_the_sync_is_checked_for_orphans() -> None:
    core = Speaker("node1")
    core.config_changed(LAYER2)
    elsewhere = config(pool("b", "203.0.113.0/24"))
    assert core.config_changed(elsewhere) == ()
    core.service_changed(KEY, WEB)
    core.endpoints_changed(KEY, SOME)
    core.cluster_changed(("node1",), {})
    final = [effect for source in Source for effect in core.synced(source)]
    assert summary(tuple(final)) == ["+10.20.30.1", "ConfigRefused"]


def test_an_owner_that_leaves_the_subnet_hands_over() -> None:
    here = NodeState(
        interfaces=(NodeInterface("eth0", "02:00:00:00:00:01", (ip_network("10.20.30.0/24"),)),)
    )
    elsewhere = NodeState(interfaces=(NodeInterface("eth0", "02:00:00:00:00:01"),))
    core = running()
    assert summary(core.cluster_changed(SPEAKERS, {"node1": elsewhere, "node2": here})) == [
        "-notOwner"
    ]
    assert summary(core.cluster_changed(SPEAKERS, {"node1": here, "node2": here})) == [
        "+10.20.30.1"
    ]


def test_a_service_announced_off_its_subnet_is_reported_once() -> None:
    nowhere = NodeState(interfaces=(NodeInterface("eth0", "02:00:00:00:00:01"),))
    nodes = dict.fromkeys(SPEAKERS, nowhere)
    core = running()
    (off_subnet,) = core.cluster_changed(SPEAKERS, nodes)
    assert isinstance(off_subnet, AnnouncedOffSubnet)
    assert off_subnet.detail == 'no node is on the subnet of ["10.20.30.1"]'
    assert core.endpoints_changed(KEY, ServiceEndpoints(2, frozenset({"node2"}))) == ()
    assert core.cluster_changed(SPEAKERS, {}) == ()
    assert len(core.cluster_changed(SPEAKERS, nodes)) == 1


def test_a_speaker_that_ends_hands_over_and_announces_nothing_afterwards() -> None:
    core = running()
    (withdrawn,) = core.ending()
    assert isinstance(withdrawn, Withdraw)
    assert (withdrawn.key, withdrawn.handed_over) == (KEY, True)
    core.cluster_changed(("node1",), {})
    assert core.endpoints_changed(KEY, ServiceEndpoints(2, frozenset({"node1"}))) == ()
    assert core.ending() == ()


def lines_run(action: Callable[[], object]) -> int:
    """Count the lines of Python that an action runs: its cost, independent of other load."""
    count = 0

    def trace(_: FrameType, event: str, __: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def test_a_change_costs_the_same_while_a_refused_configuration_waits() -> None:
    core = running(settings=config(pool("l2", "10.20.0.0/16")))
    smaller = config(pool("l2", "10.20.0.0/24"))
    assert summary(core.config_changed(smaller)) == ["ConfigRefused"]
    small = service("small", ips=("10.20.0.1",))
    core.service_changed(small.key, small)
    few = lines_run(lambda: core.service_changed(small.key, small))
    for n in range(1, 200):
        other = service(f"other{n}", ips=(f"10.20.1.{n}",))
        core.service_changed(other.key, other)
    assert lines_run(lambda: core.service_changed(small.key, small)) < few + 100
    core.service_changed(KEY, None)
    for n in range(1, 199):
        assert "ConfigApplied" not in summary(core.service_changed(f"default/other{n}", None))
    assert "ConfigApplied" in summary(core.service_changed("default/other199", None))


def test_the_lookup_by_address_costs_the_same_with_many_services() -> None:
    """Any host on the link can cause it 128 times a second, by announcing the address."""
    core = running(settings=config(pool("l2", "10.20.0.0/16")))
    address, mac = ip_address("10.20.30.1"), "02:00:00:00:00:99"

    def look_up() -> None:
        core.announced_at(address)
        core.is_speaker_mac(mac)

    look_up()
    few = lines_run(look_up)
    for number in range(300):
        web = service(f"web{number}", ips=(f"10.20.{number // 200}.{number % 200}",))
        core.service_changed(web.key, web)
        core.endpoints_changed(web.key, SOME)
    nodes = {
        f"node{n}": NodeState(interfaces=(NodeInterface("eth0", f"02:00:00:00:01:{n:02x}", ()),))
        for n in range(100)
    }
    core.cluster_changed(SPEAKERS, nodes)
    look_up()
    assert lines_run(look_up) <= few + 5


def test_services_that_share_an_address_are_all_found_at_it() -> None:
    core = running()
    shared = [service(name, ips=("10.20.30.1",)) for name in ("other", "web")]
    for each in shared:
        core.service_changed(each.key, each)
        core.endpoints_changed(each.key, SOME)
    address = ip_address("10.20.30.1")
    before = core.announced_at(address)
    assert [each.key for each in before] == sorted(each.key for each in before)
    core.ending()
    assert core.announced_at(address) == ()


def test_the_macs_of_speakers_follow_the_cluster() -> None:
    core = running()
    mac = "02:00:00:00:01:01"
    assert not core.is_speaker_mac(mac)
    core.cluster_changed(
        SPEAKERS, {"node1": NodeState(interfaces=(NodeInterface("eth0", mac, ()),))}
    )
    assert core.is_speaker_mac(mac)
    core.cluster_changed(SPEAKERS, {})
    assert not core.is_speaker_mac(mac)


EXCLUDED = NodeState(excluded=Exclusion("nodeLabeledExcludeBalancers", "it has the label x"))


def reports(node: str, settings: Config, **changes: object) -> list[str]:
    """Return what a speaker reports of a service that no node announces."""
    core = Speaker(node)
    core.service_changed(KEY, changes.get("service", WEB))  # type: ignore[arg-type]
    core.endpoints_changed(KEY, changes.get("endpoints", SOME))  # type: ignore[arg-type]
    core.cluster_changed(SPEAKERS, changes.get("nodes", {}))  # type: ignore[arg-type]
    core.config_changed(settings)
    effects = [effect for source in Source for effect in core.synced(source)]
    return [effect.detail for effect in effects if isinstance(effect, Unannounced)]


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"endpoints": ServiceEndpoints()}, "no usable endpoint on any node"),
        ({"endpoints": None}, "it has no endpoints"),
        ({"nodes": dict.fromkeys(SPEAKERS, EXCLUDED)}, "it has the label x"),
        ({"nodes": {"node9": NodeState(addresses=frozenset(WEB.status_addresses))}}, "node9"),
        ({"service": service(ips=("203.0.113.9",))}, "no pool contains"),
        (
            {
                "service": service(ips=("10.20.30.1",), external_traffic_policy="Local"),
                "endpoints": ServiceEndpoints(1, frozenset({"node9"})),
            },
            "endpoint",
        ),
    ],
)
@pytest.mark.parametrize("settings", [LAYER2, ROUTED], ids=["layer2", "bgp"])
def test_one_speaker_reports_a_service_that_no_node_announces(
    changes: dict[str, object], detail: str, settings: Config
) -> None:
    found = [reports(node, settings, **changes) for node in SPEAKERS]
    (reported,) = filter(None, found)
    (text,) = reported
    assert detail in text


@pytest.mark.parametrize("settings", [LAYER2, ROUTED], ids=["layer2", "bgp"])
def test_a_service_that_a_node_announces_is_not_reported(settings: Config) -> None:
    assert not any(reports(node, settings) for node in SPEAKERS)
    # Over BGP with Local, the nodes without an endpoint are as they should be.
    local = service(ips=("10.20.30.1",), external_traffic_policy="Local")
    assert not any(reports(node, settings, service=local) for node in SPEAKERS)


NO_FAMILY = replace(
    PEER, session=replace(PEER.session, address_families=frozenset({AddressFamily.IPV6}))
)


@pytest.mark.parametrize(
    ("peers", "detail"),
    [
        ((), "no BGP peer is configured"),
        ((replace(PEER, node_selectors=(selector(rack="9"),)),), "no BGP peer for 10.20.30.1"),
        ((NO_FAMILY,), "no BGP peer for 10.20.30.1"),
    ],
)
def test_one_speaker_reports_a_service_that_no_bgp_peer_receives(
    peers: tuple[Peer, ...], detail: str
) -> None:
    local = service(ips=("10.20.30.1",), external_traffic_policy="Local")
    for item in (WEB, local):
        found = [reports(node, replace(UNROUTED, peers=peers), service=item) for node in SPEAKERS]
        (reported,) = filter(None, found)
        (text,) = reported
        assert detail in text


def test_a_service_with_a_bgp_peer_on_one_node_is_not_reported() -> None:
    there = {"node1": NodeState(labels={"rack": "1"})}
    one = replace(ROUTED, peers=(replace(PEER, node_selectors=(selector(rack="1"),)),))
    for node in SPEAKERS:
        assert not reports(node, one, nodes=there)
    assert any(reports(node, one) for node in SPEAKERS)


def test_a_report_is_cleared_when_a_node_announces_again() -> None:
    for node in SPEAKERS:
        core = running(node)
        gone = core.endpoints_changed(KEY, ServiceEndpoints())
        back = core.endpoints_changed(KEY, SOME)
        if any(isinstance(effect, Unannounced) for effect in gone):
            (effect,) = (each for each in back if isinstance(each, Unannounced))
            assert effect.detail == ""
            return
    pytest.fail("no speaker reports it")


@pytest.mark.parametrize("settings", [LAYER2, ROUTED], ids=["layer2", "bgp"])
@pytest.mark.parametrize("host", SPEAKERS)
@pytest.mark.parametrize("by_interface", [False, True])
def test_no_speaker_announces_an_address_of_a_node(
    host: str, settings: Config, by_interface: bool
) -> None:
    """Neither another node's, which would be cut off, nor its own, which its kernel answers for."""
    own = ip_address("10.20.30.1")
    nodes = {host: NodeState(addresses=frozenset({own}))}
    if by_interface:
        nodes = {
            host: NodeState(interfaces=(NodeInterface("eth0", "02:00:00:00:00:01", (), (own,)),))
        }
    cores = [running(node, settings) for node in SPEAKERS]
    assert any(core.announced_at(own) for core in cores)
    for core in cores:
        core.cluster_changed(SPEAKERS, nodes)
        assert not core.announced_at(own)


def test_an_excluded_node_withdraws_its_routes() -> None:
    core = running("node1", ROUTED)
    effects = core.cluster_changed(SPEAKERS, {"node1": EXCLUDED})
    assert "-nodeLabeledExcludeBalancers" in summary(effects)
    assert "+10.20.30.1" in summary(core.cluster_changed(SPEAKERS, {}))


class Poison(str):
    """A text that raises an exception when it is compared."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise OverflowError("poison")

    __hash__ = str.__hash__


def test_an_exception_for_one_service_does_not_affect_the_others() -> None:
    core = running("node1", ROUTED)
    poisoned = service("poisoned", ips=("10.20.30.2",))
    core.endpoints_changed(poisoned.key, SOME)
    policy = Poison("Local")
    spec = replace_struct(poisoned.spec, external_traffic_policy=policy)
    effects = core.service_changed(poisoned.key, replace_struct(poisoned, spec=spec))
    (failed,) = (effect for effect in effects if isinstance(effect, DecisionFailed))
    assert "OverflowError: poison" in failed.detail
    # The other services are decided, and their announcements stay.
    assert "ConfigApplied" in summary(core.config_changed(replace(ROUTED)))
    assert core.announced_at(ip_address("10.20.30.1"))
    # The service is announced once it is valid again.
    assert "+10.20.30.2" in summary(core.service_changed(poisoned.key, poisoned))


POOL = pool("l2", "192.0.2.0/24")
ADDRESSES = tuple(IPv4Address(f"192.0.2.{number}") for number in range(4))
KEYS = st.sampled_from([f"default/{name}" for name in "abcde"])


def announcement(*addresses: IPAddress) -> Announcement:
    return Announcement(addresses, POOL)


CHANGES = st.lists(
    st.tuples(KEYS, st.none() | st.sets(st.sampled_from(ADDRESSES)).map(lambda a: announcement(*a)))
)


@given(CHANGES)
def test_the_index_by_address_equals_a_full_search(
    changes: list[tuple[str, Announcement | None]],
) -> None:
    announced = Announced()
    plain: dict[str, Announcement] = {}
    for key, value in changes:
        if value is None:
            assert announced.pop(key, None) == plain.pop(key, None)
        else:
            announced[key] = plain[key] = value
        assert dict(announced) == plain
        for address in ADDRESSES:
            found = tuple(sorted(k for k, each in plain.items() if address in each.addresses))
            assert announced.at(address) == found


def test_withdrawn_addresses_are_removed_from_the_index() -> None:
    announced = Announced()
    announced["default/a"] = announcement(*ADDRESSES)
    announced["default/a"] = announcement(ADDRESSES[0])
    assert announced.at(ADDRESSES[1]) == ()
    announced.clear()
    assert not announced
    assert announced.at(ADDRESSES[0]) == ()
