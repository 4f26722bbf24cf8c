"""Starts of the controller and of speakers, from every combination of cluster state.

The configuration may be valid, invalid, empty, under another key, or missing; the stored state may
be current, stale, missing, damaged or of another ConfigMap; services may have addresses of either
configuration, of both, or of none.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from support.kube.config_states import state_objects
from support.kube.objects import service

from controller.core import Controller
from controller.effects import ConfigApplied, DrainingChanged, Effect, WriteStatus
from controller.orphaned_addresses import OrphanPolicy
from controller.simulation import configure
from metallb_py.config.draining import drain, encode_pools
from metallb_py.kube.config_state import StateNames, Stored
from metallb_py.kube.configmap import ConfigReader, Update, read, version_of
from metallb_py.kube.objects import ConfigMap, ObjectMeta, Service
from metallb_py.model.config import Config, Pool
from speaker.core import Source, Speaker

NAMES = StateNames("metallb-system", "config")


def text(*pools: str) -> str:
    return "address-pools: [" + ", ".join(f"{{{pool}}}" for pool in pools) + "]"


TEXTS = {
    "old": text(
        "name: a, protocol: layer2, addresses: [192.0.2.0/30]",
        "name: b, protocol: bgp, addresses: [198.51.100.0/30]",
    ),
    "new": text(
        "name: b, protocol: layer2, addresses: [198.51.100.0/30]",
        "name: c, protocol: bgp, addresses: [203.0.113.0/30]",
    ),
    "third": text("name: a, protocol: bgp, addresses: [203.0.113.0/31]"),
    "invalid": text("name: a"),
    "empty": "",
}
ADDRESSES = ("192.0.2.1", "198.51.100.1", "203.0.113.1", "203.0.113.3", "10.9.9.9")

items = st.sampled_from(
    [
        *(ConfigMap(ObjectMeta("config", "metallb-system"), {"config": t}) for t in TEXTS.values()),
        ConfigMap(ObjectMeta("config", "metallb-system"), {"config.yaml": TEXTS["new"]}),
        ConfigMap(ObjectMeta("config", "metallb-system")),
        None,
    ]
)
DRAINING = encode_pools(drain((read(TEXTS["third"]).config or Config()).pools))
states = st.builds(
    Stored,
    st.sampled_from([None, *TEXTS.values()]),
    st.sampled_from(["", DRAINING, "damaged"]),
    st.sampled_from(["", version_of(TEXTS["new"]), version_of(TEXTS["old"])]),
)
held = st.lists(st.sampled_from(ADDRESSES), max_size=5, unique=True)


@dataclass
class Found:
    """The cluster state at a start."""

    item: ConfigMap | None
    objects: dict[str, ConfigMap]
    services: list[Service]

    def update(self, *, follow_state: bool) -> tuple[ConfigReader, Update]:
        reader = ConfigReader("metallb-system", "config", follow_state=follow_state)
        reader.configmap_changed(self.item)
        for name, each in self.objects.items():
            reader.state_changed(name, each)
        reader.configmap_synced()
        reader.state_synced()
        inputs = reader.next()
        assert inputs is not None
        return reader, inputs.read()


@st.composite
def cluster_states(draw: st.DrawFn) -> Found:
    stored = draw(st.none() | states)
    names = draw(st.sampled_from([NAMES] * 4 + [StateNames("metallb-system", "other")]))
    objects = {
        name.replace("other", "config"): each for name, each in state_objects(names, stored).items()
    }
    if objects and draw(st.sampled_from([False] * 4 + [True])):
        (index,) = objects.values()
        objects = {NAMES.index: ConfigMap(index.metadata, {**(index.data or {}), "sha256": "0"})}
    services = [
        service(f"s{n}", ips=(address,), created=f"2026-01-01T00:00:0{n}Z")
        for n, address in enumerate(draw(held))
    ]
    return Found(draw(items), objects, services)


class World:
    """A controller started on a cluster state, and the results of its decisions."""

    def __init__(self, found: Found, policy: OrphanPolicy) -> None:
        self.core = Controller(policy=policy)
        self.in_force: Config | None = None
        self.draining: tuple[Pool, ...] = ()
        self.lost: dict[str, tuple[str, ...]] = {}
        self.update = found.update(follow_state=False)[1]
        self.perform(configure(self.core, self.update))
        for each in found.services:
            self.perform(self.core.service_changed(each.key, each))
        self.perform(self.core.services_synced())

    def perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case ConfigApplied(config):
                    self.in_force = config
                case DrainingChanged(pools):
                    self.draining = pools
                case WriteStatus() if effect.addresses != effect.service.status_addresses:
                    self.lost[effect.service.key] = tuple(map(str, effect.addresses))
                case _:
                    pass

    def stored(self) -> Stored | None:
        """Return the state that the controller stores."""
        known = [self.update.latest, self.update.last_good]
        texts = [r.text for r in known if r is not None and r.config == self.in_force]
        if self.in_force is None:
            return None
        latest = self.update.latest
        waits = latest is not None and latest.config not in (None, self.in_force)
        return Stored(
            texts[0], encode_pools(self.draining), latest.version if latest and waits else ""
        )


def speaker_with(found: Found, update: Update) -> Speaker:
    core = Speaker("node1")
    config = update.in_force()
    if config is not None:
        core.config_changed(config)
    for each in found.services:
        core.service_changed(each.key, each)
    for source in Source:
        if source is not Source.CONFIG:
            core.synced(source)
    return core


@settings(max_examples=600, deadline=None)
@given(cluster_states(), st.sampled_from(OrphanPolicy))
def test_start_releases_no_address_that_the_configuration_allows(
    found: Found, policy: OrphanPolicy
) -> None:
    world = World(found, policy)
    latest = world.update.latest.config if world.update.latest else None
    if world.in_force is None:
        assert latest is None
        assert world.update.last_good is None
        assert world.lost == {}
        return
    if latest is not None and policy is not OrphanPolicy.REFUSE:
        assert world.in_force == latest, "a valid configuration is applied at once"
    known = [latest, world.update.last_good.config if world.update.last_good else None]
    for each in found.services:
        (address,) = each.status_addresses
        owned = world.in_force.pool_of((address,)) is not None
        drains = any(pool.contains(address) for pool in world.update.draining)
        if owned or drains:
            assert each.key not in world.lost
        keeps = policy is not OrphanPolicy.RENUMBER and latest is not None
        if keeps and any(config and config.pool_of((address,)) for config in known):
            assert each.key not in world.lost, "one of the two configurations has it"
    used = {held.pool for held in world.core.allocator.holdings()}
    assert {pool.name for pool in world.draining} <= used, "no pool drains without a holding"


@settings(max_examples=600, deadline=None)
@given(cluster_states(), st.sampled_from(OrphanPolicy))
def test_speakers_keep_announcing_and_adopt_the_controllers_config(
    found: Found, policy: OrphanPolicy
) -> None:
    world = World(found, policy)
    reader, update = found.update(follow_state=True)
    core = speaker_with(found, update)
    if world.in_force is None:
        assert core.waits_for_config
        return
    kept = [each for each in found.services if each.key not in world.lost]
    for each in kept:
        if world.core.allocator.held(each.key):
            assert core.config.pool_of(each.status_addresses), "before the controller stored it"
    # The controller writes its decisions, the statuses first.
    for key, addresses in world.lost.items():
        name = key.partition("/")[2]
        core.service_changed(key, service(name, ips=addresses))
    reader.mark_in_force()
    for name, each in state_objects(NAMES, world.stored(), found.objects).items():
        reader.state_changed(name, each)
    inputs = reader.next()
    if inputs is not None and (config := inputs.read().in_force()) is not None:
        core.config_changed(config)
    for each in kept:
        holding = world.core.allocator.held(each.key)
        if holding is None:
            continue
        theirs = core.config.pool_of(each.status_addresses)
        assert theirs is not None
        (ours,) = (p for p in world.core.allocator.pools() if p.name == holding.pool)
        assert (theirs.protocol, theirs.bgp_advertisements) == (
            ours.protocol,
            ours.bgp_advertisements,
        )
