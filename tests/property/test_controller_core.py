"""The controller's core under service churn, lost writes, relists and restarts.

No unchanged service loses its address, and no address is assigned twice except by legal sharing.
Once everything has settled, no service is pending while an allocation exists for it, and none has
lost an address that it may still have.
"""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.kube.allocation_model import Addresses, Model, admits, allocatable_addresses
from support.kube.objects import config, pool, selector, service

from controller.core import Controller
from controller.effects import POOL_ANNOTATION, ConfigApplied, DrainingChanged, Effect, WriteStatus
from controller.requests import InvalidRequest, ServiceRequest, parse, tenant_of
from metallb_py.addresses import AddressFamily
from metallb_py.kube.objects import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceStatus,
)
from metallb_py.model.config import Config, Pool
from metallb_py.model.pool_access import Tenancy

CONFIGS = (
    config(
        pool("a", "192.0.2.0/31", "2001:db8::/127"),
        pool("b", "192.0.2.8/31", auto_assign=False),
    ),
    config(pool("a", "192.0.2.0/31", "2001:db8::/126"), pool("c", "192.0.2.4/31")),
    # A pool of another name has some of the addresses; no service requests "c" by name.
    config(pool("d", "192.0.2.4/31", "192.0.2.12/32"), pool("a", "192.0.2.1/32", "2001:db8::/127")),
    # These pools are no longer open to every service, and by priority the last comes first.
    config(
        pool("a", "192.0.2.0/31", tenancy=Tenancy(frozenset({"shop"}))),
        pool("b", "192.0.2.8/31", tenancy=Tenancy(service_selectors=(selector(tier="front"),))),
        pool("e", "192.0.2.6/32", tenancy=Tenancy(namespace_selectors=(selector(team="x"),))),
        pool("f", "192.0.2.5/32", "2001:db8::/127", priority=7),
        pool("g", "192.0.2.4/32", priority=5),
    ),
)
NAMESPACES = ("default", "shop")
TICKS_TO_SETTLE = 500

keys = st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(["s0", "s1", "s2"]))
annotations = st.fixed_dictionaries(
    {},
    optional={
        "metallb.universe.tf/address-pool": st.sampled_from(["a", "b", "nope"]),
        "metallb.universe.tf/allow-shared-ip": st.sampled_from(["k", "l"]),
        "metallb.universe.tf/loadBalancerIPs": st.sampled_from(
            ["192.0.2.0", "192.0.2.8", "192.0.2.1,2001:db8::", "nonsense"]
        ),
    },
)
service_specs = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["LoadBalancer"] * 4 + ["ClusterIP"]),
        "cluster_ips": st.sampled_from(
            [("10.96.0.1",)] * 3
            + [("10.96.0.1", "fd00::1"), ("fd00::1", "10.96.0.1"), ("fd00::1",)]
            + [("10.96.077.7",), ("garbage",), ("10.96.0.1", "10.96.0.2")]
        ),
        "ports": st.sampled_from([(ServicePort(80),), (ServicePort(443),)]),
        "annotations": annotations,
        "labels": st.sampled_from([None, {"tier": "front"}]),
        "ip_family_policy": st.sampled_from(["SingleStack", "PreferDualStack"]),
        "external_traffic_policy": st.sampled_from(["", "Local"]),
        "selector": st.sampled_from([{"app": "a"}, {"app": "b"}]),
    }
)


class Churn(RuleBasedStateMachine):
    """An API server, the watch events and writes in transit, and a controller."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 0
        self.server: dict[str, Service] = {}
        self.untouched: dict[str, Addresses] = {}
        self.settled: dict[str, Addresses] = {}
        self.now = 0.0
        self.observed: dict[str, Service] = {}
        self.watch_events: list[tuple[str, Service | None]] = []
        self.writes: dict[str, WriteStatus] = {}
        self.namespaces: dict[str, dict[str, str]] = {name: {} for name in NAMESPACES}
        self.namespaces_observed: dict[str, dict[str, str]] = {}
        self.config = CONFIGS[0]
        self.kept: tuple[Config, tuple[Pool, ...]] = (self.config, ())

    @initialize(shuffle=st.randoms())
    def start(self, shuffle: Random) -> None:
        self.restart(shuffle)

    # Actions of users

    @rule(where=keys, spec=service_specs, age=st.integers(0, 9))
    def apply(self, where: tuple[str, str], spec: dict[str, object], age: int) -> None:
        namespace, name = where
        key = f"{namespace}/{name}"
        had = self.server.get(key)
        self.version += 1
        made = service(
            name,
            namespace=namespace,
            version=str(self.version),
            uid=had.metadata.uid if had else f"uid-{self.version}",
            created=had.metadata.creation_timestamp or "" if had else f"2026-01-0{age}T00:00:00Z",
            ips=tuple(entry.ip for entry in had.ingress) if had else (),
            pool=had.metadata.annotation(POOL_ANNOTATION) if had else "",
            **spec,  # type: ignore[arg-type]
        )
        self.untouched.pop(key, None)
        self.put(key, made)

    @rule(where=keys)
    def delete(self, where: tuple[str, str]) -> None:
        key = "/".join(where)
        if self.server.pop(key, None):
            self.untouched.pop(key, None)
            self.settled.pop(key, None)
            self.watch_events.append((key, None))

    @rule(name=st.sampled_from(NAMESPACES), team=st.sampled_from(["x", "y"]))
    def label_namespace(self, name: str, team: str) -> None:
        self.namespaces[name] = {"team": team}

    @rule(new=st.sampled_from(CONFIGS))
    def change_config(self, new: Config) -> None:
        self.config = new
        self.perform(self.core.config_changed(new))

    # Actions of the API server and the network

    @rule(count=st.integers(1, 8))
    def deliver(self, count: int) -> None:
        for key, item in self.watch_events[:count]:
            self.observe(key, item)
        del self.watch_events[:count]

    @rule()
    def deliver_namespaces(self) -> None:
        for name, labels in self.namespaces.items():
            self.namespaces_observed[name] = labels
            self.perform(self.core.namespace_changed(name, labels))
        self.perform(self.core.namespaces_synced())

    @rule()
    def relist(self) -> None:
        """Break the watch: events in between are lost, and only the current list remains."""
        self.watch_events.clear()
        for key in sorted(self.observed.keys() - self.server.keys()):
            self.observe(key, None)
        for key, item in sorted(self.server.items()):
            if self.observed.get(key) != item:
                self.observe(key, item)

    @rule(count=st.integers(1, 8))
    def write(self, count: int) -> None:
        for key in list(self.writes)[:count]:
            effect = self.writes.pop(key)
            now = self.server.get(key)
            if now is None:
                continue
            if now.metadata.resource_version != effect.service.metadata.resource_version:
                self.perform(self.core.retry(key, self.now))
            else:
                self.store(now, effect)

    @rule()
    def fail_to_write(self) -> None:
        for key in list(self.writes)[:1]:
            del self.writes[key]
            self.perform(self.core.retry(key))

    @rule(seconds=st.sampled_from([1.0, 5.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.core.handle_timeout(self.now))

    @rule()
    def write_config_status(self) -> None:
        self.kept = self.in_force

    @rule(shuffle=st.randoms())
    def restart(self, shuffle: Random) -> None:
        """Start a new controller; state that was not written is lost."""
        self.core = Controller()
        self.watch_events.clear()
        self.writes.clear()
        self.in_force = self.kept
        self.observed = dict(self.server)
        self.namespaces_observed.clear()
        steps = [lambda k=k, s=s: self.core.service_changed(k, s) for k, s in self.observed.items()]
        steps.append(lambda: self.core.config_changed(*self.kept))
        shuffle.shuffle(steps)
        for step in [*steps, self.core.services_synced]:
            self.perform(step())
        self.deliver_namespaces()
        if self.config != self.kept[0]:
            self.perform(self.core.config_changed(self.config))

    # Invariants

    @invariant()
    def no_address_is_assigned_twice(self) -> None:
        self.model().assert_legal()

    @rule()
    def settle(self) -> None:
        self.deliver_namespaces()
        for _ in range(TICKS_TO_SETTLE):
            if not self.watch_events and not self.writes and self.core.next_deadline() is None:
                break
            self.deliver(len(self.watch_events))
            self.write(len(self.writes))
            if not self.watch_events and not self.writes:
                self.pass_time(1.0)
        assert not self.watch_events
        assert not self.writes
        self.write_config_status()
        for key, item in self.server.items():
            held = self.core.allocator.held(key)
            assert item.status_addresses == (held.addresses if held else ()), key
            if item.is_load_balancer and held is None:
                assert key in self.core.pending
                assert not self.could_be_served(key, item)
                assert not self.could_keep(key, item), f"{key} lost {self.settled.get(key)}"
            self.settled.pop(key, None)
            if held is not None:
                assert held.wanted is None
                assert not self.could_have_another(key, item, held.addresses)
                self.settled[key] = held.addresses
                outcome = self.core.outcome(key)
                if outcome and outcome.verdict.positive:
                    self.untouched[key] = held.addresses

    def teardown(self) -> None:
        self.settle()

    def model(self) -> Model:
        """Return the controller's assignments as a model."""
        config, draining = self.in_force
        model = Model((*config.pools, *draining))
        for key in self.server.keys() | self.observed.keys():
            held = self.core.allocator.held(key)
            if held is not None:
                model.held[key] = (held.addresses, held.terms)
        return model

    def could_keep(self, key: str, item: Service) -> bool:
        """Whether a service may still have the addresses that it had when it last settled."""
        request = parse(item)
        addresses = self.settled.get(key, ())
        if isinstance(request, ServiceRequest):
            addresses = tuple(a for a in addresses if AddressFamily.of(a) in request.families)
        model = self.model()
        return any(
            model.owner((address,)) and model.may_have(key, address, request.terms)
            for address in addresses
        )

    def could_have_another(self, key: str, item: Service, held: Addresses) -> bool:
        """Whether a second address exists for a service that has one and accepts two."""
        request = parse(item)
        if isinstance(request, InvalidRequest) or request.addresses or request.pool:
            return False
        if len(held) == len(request.families):
            return False
        model = self.model()
        owner = model.owner(held)
        labels = self.namespaces_observed.get(item.metadata.namespace)
        tenant = tenant_of(item, labels)
        return any(
            pool.name == owner
            and pool.auto_assign
            and not pool.draining
            and admits(pool, tenant)
            and AddressFamily.of(address) in request.families
            and AddressFamily.of(address) is not AddressFamily.of(held[0])
            and model.may_have(key, address, request.terms)
            for pool in model.pools
            for address in allocatable_addresses(pool)
        )

    def could_be_served(self, key: str, item: Service) -> bool:
        request = parse(item, self.namespaces_observed.get(item.metadata.namespace))
        return isinstance(request, ServiceRequest) and self.model().can_allocate(key, request)

    def put(self, key: str, item: Service) -> None:
        self.server[key] = item
        self.watch_events.append((key, item))

    def observe(self, key: str, item: Service | None) -> None:
        if item is None:
            self.observed.pop(key, None)
        else:
            self.observed[key] = item
        self.perform(self.core.service_changed(key, item, self.now))

    def store(self, now: Service, effect: WriteStatus) -> None:
        had = self.untouched.get(now.key)
        assert had is None or had == effect.addresses[: len(had)], f"{now.key} lost {had}"
        self.version += 1
        annotated = {**(now.metadata.annotations or {}), POOL_ANNOTATION: effect.pool}
        if not effect.pool:
            del annotated[POOL_ANNOTATION]
        replace = msgspec.structs.replace
        meta = replace(
            now.metadata, resource_version=str(self.version), annotations=annotated or None
        )
        ingress = tuple(LoadBalancerIngress(str(address)) for address in effect.addresses)
        status = ServiceStatus(LoadBalancerStatus(ingress))
        self.put(now.key, replace(now, metadata=meta, status=status))

    def perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case WriteStatus():
                    self.writes[effect.service.key] = effect
                case ConfigApplied(new):
                    self.in_force = (new, self.in_force[1])
                case DrainingChanged(pools):
                    self.in_force = (self.in_force[0], pools)
                case _:
                    pass


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=100, stateful_step_count=40)
