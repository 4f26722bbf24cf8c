"""A plan, compared with the changes that the controller then makes."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kube.objects import service

from controller.core import Controller
from controller.effects import ConfigRefused, DrainingChanged, Effect, WriteStatus
from controller.orphaned_addresses import OrphanPolicy
from controller.plan import Change, make_plan
from metallb_py.config.compile.read_config import read_config
from metallb_py.config.draining import configured_name, encode_pools
from metallb_py.kube.config_state import Stored
from metallb_py.kube.objects import (
    ConfigMap,
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServiceStatus,
)
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Pool

BY_LABEL = "namespace-selectors: [{match-labels: {team: x}}]"
TEXTS = [
    "address-pools: [" + ", ".join(f"{{{pool}}}" for pool in pools) + "]"
    for pools in (
        ["name: a, protocol: layer2, addresses: [192.0.2.0/31, '2001:db8::/127']"],
        ["name: a, protocol: bgp, addresses: [192.0.2.0/31, '2001:db8::/127']"],
        [
            "name: a, protocol: layer2, addresses: [192.0.2.0/32], namespaces: [shop]",
            "name: b, protocol: bgp, addresses: [192.0.2.4/31]",
        ],
        [
            "name: c, protocol: bgp, addresses: [192.0.2.4/31, '2001:db8::/128'], priority: 2",
            "name: d, protocol: layer2, addresses: [192.0.2.0/31], auto-assign: false",
            "name: e, protocol: layer2, addresses: [192.0.2.8/32], priority: 1, " + BY_LABEL,
        ],
        ["name: b, protocol: layer2, addresses: [192.0.2.8/31]"],
    )
]
NAMESPACES: dict[str, dict[str, str]] = {"default": {"team": "x"}, "shop": {}}

service_specs = st.fixed_dictionaries(
    {
        "namespace": st.sampled_from(sorted(NAMESPACES)),
        "cluster_ips": st.sampled_from([("10.96.0.1",)] * 2 + [("10.96.0.1", "fd00::1")]),
        "ip_family_policy": st.sampled_from(["RequireDualStack", "PreferDualStack"]),
        "annotations": st.sampled_from(
            [
                None,
                {"metallb.universe.tf/address-pool": "d"},
                {"metallb.universe.tf/allow-shared-ip": "k"},
            ]
        ),
        "load_balancer_ip": st.sampled_from(["", "", "192.0.2.0"]),
        "created": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    }
)


class Cluster:
    """An API server and a controller that are always in sync."""

    def __init__(self, policy: OrphanPolicy) -> None:
        self.core = Controller(policy=policy)
        self.services: dict[str, Service] = {}
        self.draining: tuple[Pool, ...] = ()
        self.text = self.in_force = ""
        self.refused = False
        for name, labels in NAMESPACES.items():
            self.perform(self.core.namespace_changed(name, labels))
        self.perform(self.core.namespaces_synced())

    def configure(self, text: str) -> None:
        self.text, self.refused = text, False
        self.perform(self.core.config_changed(read_config(text)))
        if not self.refused:
            self.in_force = text

    def add(self, item: Service) -> None:
        self.services[item.key] = item
        self.perform(self.core.service_changed(item.key, item))

    def perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case WriteStatus():
                    self.write(effect)
                case DrainingChanged(pools):
                    self.draining = pools
                case ConfigRefused():
                    self.refused = True
                case _:
                    pass

    def write(self, effect: WriteStatus) -> None:
        now = self.services[effect.service.key]
        annotations = {**(now.metadata.annotations or {})}
        annotations["metallb.universe.tf/ip-allocated-from-pool"] = effect.pool
        ingress = tuple(LoadBalancerIngress(str(address)) for address in effect.addresses)
        replace = msgspec.structs.replace
        meta = replace(now.metadata, annotations=annotations)
        status = ServiceStatus(LoadBalancerStatus(ingress))
        self.add(replace(now, metadata=meta, status=status))

    def snapshot(self) -> Snapshot:
        meta = ObjectMeta("config", "metallb-system")
        configmap = ConfigMap(metadata=meta, data={"config": self.text})
        stored = Stored(self.in_force, encode_pools(self.draining))
        return Snapshot(tuple(self.services.values()), NAMESPACES, configmap, stored)

    def status_addresses_by_key(self) -> dict[str, tuple[object, ...]]:
        return {key: item.status_addresses for key, item in self.services.items()}

    def draining_services(self) -> set[str]:
        pools = {pool.name for pool in self.draining}
        held = {key: self.core.allocator.held(key) for key in self.services}
        return {key for key, each in held.items() if each and each.pool in pools}


@settings(max_examples=300)
@given(
    st.lists(service_specs, max_size=6),
    st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3),
    st.sampled_from(TEXTS),
    st.sampled_from(OrphanPolicy),
    st.randoms(use_true_random=False),
)
def test_plan_matches_the_changes_that_the_controller_makes(
    specs: list[dict[str, object]],
    earlier: list[str],
    new: str,
    policy: OrphanPolicy,
    random: Random,
) -> None:
    cluster = Cluster(policy)
    cluster.configure(earlier[0])
    cluster.perform(cluster.core.services_synced())
    items = [service(f"s{n}", **spec) for n, spec in enumerate(specs)]  # type: ignore[arg-type]
    random.shuffle(items)
    for item in items:
        cluster.add(item)
    for text in earlier[1:]:
        cluster.configure(text)

    plan = make_plan(cluster.snapshot(), read_config(new), policy)
    before, drained = cluster.status_addresses_by_key(), cluster.draining_services()
    cluster.configure(new)

    after = cluster.status_addresses_by_key()
    assert {each.key: each.before for each in plan.services} == before
    assert {each.key: each.after for each in plan.services} == after
    changes = {each.key: each.change for each in plan.services}
    assert {k for k, change in changes.items() if change is Change.LOSES} == {
        key for key, had in before.items() if had and after[key] != had
    }
    assert {k for k, change in changes.items() if change is Change.DRAINS} == (
        cluster.draining_services() - drained
    )
    assert bool(plan.refusal) == cluster.refused
    drains = {name for name, change in plan.pools.items() if change == "drains"}
    assert drains <= {configured_name(pool.name) for pool in cluster.draining}
