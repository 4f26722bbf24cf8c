"""Services with any content that a tenant can write: no other service loses its address."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kube.objects import config, pool, selector, service

from controller.assignment import Reason
from controller.core import Controller
from metallb_py.kube.objects import Service, ServicePort
from metallb_py.model.pool_access import Tenancy

POOLS = config(
    pool("a", "192.0.2.0/30", "2001:db8::/126"),
    pool("b", "198.51.100.0/31", tenancy=Tenancy(service_selectors=(selector(tier="x"),))),
)
PREFIXES = ("metallb.universe.tf/", "metallb.io/")
NAMES = ("address-pool", "allow-shared-ip", "loadBalancerIPs", "ip-allocated-from-pool")

texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["192.0.2.0", "192.0.2.1,2001:db8::", "10.96.077.7", "fd00::1", "::", "a", "k"]
    ),
    st.sampled_from([" ", ",", "0" * 20_000, "1" * 20_000 + ".1.1.1", ":" * 5_000, "٣.1.1.1"]),
    st.sampled_from(
        ["fe80::1%eth0", "::ffff:192.0.2.1", "192.0.2.1/32", "None", "{}", "%s\x00\x1b"]
    ),
)
labels = st.none() | st.dictionaries(texts, texts, max_size=3)
service_specs = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["LoadBalancer", "LoadBalancer", "LoadBalancer", ""]) | texts,
        "cluster_ips": st.lists(texts, max_size=3).map(tuple) | st.just(("10.96.0.1",)),
        "cluster_ip": texts,
        "annotations": st.dictionaries(
            st.sampled_from([prefix + name for prefix in PREFIXES for name in NAMES]), texts
        ),
        "labels": labels,
        "selector": labels,
        "created": texts,
        "ports": st.lists(
            st.builds(ServicePort, st.integers(-(2**31), 2**31 - 1), texts), max_size=3
        ).map(tuple),
        "load_balancer_ip": texts,
        "external_traffic_policy": st.sampled_from(["Local", "Cluster"]) | texts,
        "ip_family_policy": st.none() | st.sampled_from(["PreferDualStack"]) | texts,
        "ips": st.lists(texts, max_size=3).map(tuple),
    }
)


def hostile(name: str, spec: dict[str, object], version: int, *, deleting: bool) -> Service:
    made = service(name, uid=name, version=str(version), **spec)  # type: ignore[arg-type]
    stamp = "garbage" if deleting else None
    meta = msgspec.structs.replace(made.metadata, deletion_timestamp=stamp)
    # Encoded as by the API server, decoded as by the reflector.
    raw = msgspec.json.encode(msgspec.structs.replace(made, metadata=meta))
    return msgspec.json.decode(raw, type=Service)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from("xyz"), service_specs, st.booleans()), max_size=8),
    st.integers(0, 8),
)
def test_hostile_service_takes_no_address_of_another(
    edits: list[tuple[str, dict[str, object], bool]], before_start: int
) -> None:
    core = Controller()
    core.config_changed(POOLS)
    good = service("good", ips=("192.0.2.2",), pool="a", created="2020-01-01T00:00:00Z")
    core.service_changed(good.key, good)
    for number, (name, spec, deleting) in enumerate(edits):
        if number == before_start:
            core.services_synced()
        item = hostile(name, spec, number, deleting=deleting)
        core.service_changed(item.key, item, float(number))
    core.services_synced()
    core.handle_timeout(1000.0)
    for name in ("good", *"xyz"):
        outcome = core.outcome(f"default/{name}")
        assert outcome is None or outcome.verdict.reason != Reason.INTERNAL_ERROR, outcome
    held = core.allocator.held("default/good")
    claimed = any(spec["ips"] and "192.0.2.2" in spec["ips"] for _, spec, _ in edits)  # type: ignore[operator]
    assert claimed or (held is not None and list(map(str, held.addresses)) == ["192.0.2.2"])


@settings(max_examples=300)
@given(service_specs)
def test_invalid_cluster_ips_keep_the_assigned_address(spec: dict[str, object]) -> None:
    core = Controller()
    core.config_changed(POOLS)
    core.services_synced()
    core.service_changed("default/x", hostile("x", {}, 1, deleting=False))
    had = core.allocator.held("default/x")
    assert had is not None
    bad = {**spec, "kind": "LoadBalancer", "cluster_ips": ("10.96.0.1", "garbage")}
    core.service_changed("default/x", hostile("x", bad, 2, deleting=False))
    held = core.allocator.held("default/x")
    assert held is not None
    assert held.addresses == had.addresses
