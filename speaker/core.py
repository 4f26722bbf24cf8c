"""State of the speaker, and every event that changes it. Events in, effects out, no I/O.

Nothing is announced before every source was read once: services, endpoints, speakers, nodes and a
configuration. Later events from the API server change single services; while it is unreachable,
decisions stay in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from metallb_py.addresses import IPAddress, go_quote_list, parse_address
from metallb_py.isolation import InternalError, contain
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.kube.objects import Service
from metallb_py.model.config import Config, Protocol
from metallb_py.obstacles import Obstacles
from metallb_py.verdict import Verdict
from speaker.bgp.eligibility import Reach
from speaker.decision import Announcement, Decision, DecisionContext, decide, why_unannounced
from speaker.layer2.election import reporter
from speaker.layer2.eligibility import ELECTION, UNKNOWN, Cluster, NodeState


class Announced(MutableMapping[str, Announcement]):
    """The announcement of each service, by service key.

    An index by address makes ``at`` a single look-up: it runs for each reported address conflict,
    and any host on the link can cause those at any rate.
    """

    __slots__ = ("_by_address", "_by_key")

    def __init__(self) -> None:
        self._by_key: dict[str, Announcement] = {}
        self._by_address: dict[IPAddress, set[str]] = {}

    def at(self, address: IPAddress) -> tuple[str, ...]:
        """Return the keys of the services that are announced at an address, sorted."""
        return tuple(sorted(self._by_address.get(address, ())))

    def __getitem__(self, key: str) -> Announcement:
        return self._by_key[key]

    def __setitem__(self, key: str, announcement: Announcement) -> None:
        self.pop(key, None)
        self._by_key[key] = announcement
        for address in announcement.addresses:
            self._by_address.setdefault(address, set()).add(key)

    def __delitem__(self, key: str) -> None:
        for address in self._by_key.pop(key).addresses:
            keys = self._by_address[address]
            keys.discard(key)
            if not keys:
                del self._by_address[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)


class Source(Enum):
    """An input that must have been read once before anything is announced."""

    SERVICES = auto()
    ENDPOINTS = auto()
    SPEAKERS = auto()
    NODE = auto()
    CONFIG = auto()


@dataclass(frozen=True, slots=True)
class Announce:
    """Announce a service; replaces its earlier announcement."""

    service: Service
    announcement: Announcement
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Adjust:
    """Update the endpoint count of an announced service; no log line or Event."""

    key: str
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Stop announcing a service.

    ``reason`` is MetalLB's token and ``detail`` its explanation. With ``handed_over`` another node
    announces the service from now on.
    """

    key: str
    announcement: Announcement
    reason: str
    detail: str
    handed_over: bool = False


@dataclass(frozen=True, slots=True)
class AnnouncedOffSubnet:
    """The service is announced although no candidate is on the subnet of all its addresses.

    Clients can hardly reach it. ``detail`` is the failed check.
    """

    service: Service
    detail: str


@dataclass(frozen=True, slots=True)
class AddressRejected:
    """No node may announce the addresses of a service, as they are invalid or in no pool."""

    key: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """A configuration came into force."""

    config: Config


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """A configuration has no pool for addresses in use; the earlier one stays in force."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelsChanged:
    """The labels of this node changed, so the set of peers that select it may have changed."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unannounced:
    """No node announces a service that has an address. An empty ``detail``: one does again.

    For each service one speaker reports this; every speaker computes the same one.
    """

    service: Service
    detail: str


@dataclass(frozen=True, slots=True)
class DecisionFailed:
    """The decision about one service raised an exception; its announcement is unchanged."""

    service: Service
    detail: str


Effect = (
    Announce
    | Adjust
    | Withdraw
    | AnnouncedOffSubnet
    | AddressRejected
    | ConfigApplied
    | ConfigRefused
    | LabelsChanged
    | Unannounced
    | DecisionFailed
)

# An operator has to act on these; the other reasons occur in normal operation.
_ERROR_REASONS = frozenset({"invalidIP", "ipNotAllowed"})


class Speaker:
    """Owner of the speaker's state. Each event returns the effects to perform, in order."""

    def __init__(
        self, node: str, load_balancer_class: str = "", *, any_interface: bool = False
    ) -> None:
        self._node = node
        self._class = load_balancer_class
        self._services: dict[str, Service] = {}
        self._endpoints: dict[str, ServiceEndpoints] = {}
        self._cluster = Cluster(any_interface=any_interface)
        self._labels: Mapping[str, str] = {}
        self._config = Config()
        self._waiting_config: Config | None = None
        self._obstacles = Obstacles()
        self._missing = set(Source)
        self._announced = Announced()
        # The MAC addresses of all nodes' interfaces; computed on the first use.
        self._macs: frozenset[str] | None = None
        self._refused: dict[str, str] = {}
        self._off_subnet: dict[str, str] = {}
        self._unannounced: dict[str, str] = {}
        self._reach = Reach()
        self._failed: dict[str, str] = {}

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def waits_for_config(self) -> bool:
        """Whether no valid configuration is in force yet."""
        return Source.CONFIG in self._missing

    @property
    def is_synced(self) -> bool:
        """Whether every source but the configuration was listed, and ``ending`` was not called."""
        return self._missing <= {Source.CONFIG}

    @property
    def is_ready(self) -> bool:
        """Whether every source was read once, so that this node can announce."""
        return not self._missing

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of this node; empty before they are known."""
        return self._labels

    def service(self, key: str) -> Service | None:
        """Return a service of this speaker's class, as last applied; None if there is none."""
        return self._services.get(key)

    def announced_at(self, address: IPAddress) -> tuple[Service, ...]:
        """Return the services for which this node announces an address."""
        keys = self._announced.at(address)
        return tuple(self._services[key] for key in keys if key in self._services)

    def is_speaker_mac(self, mac: str) -> bool:
        """Whether a MAC address belongs to an interface that a node's speaker published."""
        if self._macs is None:
            states = self._cluster.nodes.values()
            self._macs = frozenset(each.mac for state in states for each in state.interfaces or ())
        return mac in self._macs

    def ending(self, staying: frozenset[Protocol] = frozenset()) -> tuple[Effect, ...]:
        """Withdraw every announcement and make no more: other nodes take over.

        Announcements by the protocols in ``staying`` are not withdrawn: they stay reachable over
        this node until the speaker is back.
        """
        self._missing.add(Source.SERVICES)
        announced, self._announced = self._announced, Announced()
        return tuple(
            Withdraw(key, announcement, "speakerEnding", "", handed_over=True)
            for key, announcement in sorted(announced.items())
            if announcement.protocol not in staying
        )

    def synced(self, source: Source) -> tuple[Effect, ...]:
        """Record that the initial list of a source is complete; return the effects."""
        if source not in self._missing:
            return ()
        self._missing.discard(source)
        waiting = None if self._missing else self._waiting_config
        return (*self._decide_all(), *(self.config_changed(waiting) if waiting else ()))

    def service_changed(self, key: str, service: Service | None) -> tuple[Effect, ...]:
        """Apply a new, changed or deleted (None) service; return the effects."""
        if service is not None and (service.spec.load_balancer_class or "") == self._class:
            self._services[key] = service
        elif self._services.pop(key, None) is None:
            return ()
        return (*self._decide(key), *self._retry_config())

    def endpoints_changed(self, key: str, endpoints: ServiceEndpoints | None) -> tuple[Effect, ...]:
        """Apply the changed or deleted (None) endpoints of a service; return the effects."""
        if endpoints is None:
            self._endpoints.pop(key, None)
        elif self._endpoints.get(key) == endpoints:
            return ()
        else:
            self._endpoints[key] = endpoints
        return self._decide(key)

    def cluster_changed(
        self, usable: Iterable[str], nodes: Mapping[str, NodeState]
    ) -> tuple[Effect, ...]:
        """Apply the set of usable speakers and the state of every node; return the effects.

        Both in one call, because they derive from the same pods: the interfaces of a node are
        unknown once its speaker is gone, and it must stop being a candidate at the same time.
        """
        labels = nodes.get(self._node, UNKNOWN).labels
        effects: tuple[Effect, ...] = ()
        if labels != self._labels:
            self._labels = dict(labels)
            effects = (LabelsChanged(self._labels),)
        cluster = replace(self._cluster, usable_speakers=frozenset(usable), nodes=dict(nodes))
        if cluster == self._cluster:
            return effects
        self._cluster = cluster
        self._reach = Reach(self._config.peers)
        self._macs = None
        return (*effects, *self._decide_all())

    def config_changed(self, config: Config) -> tuple[Effect, ...]:
        """Apply a valid configuration, unless a service would lose its pool; return the effects."""
        if Source.CONFIG not in self._missing and self._missing:
            self._waiting_config = config  # the addresses of services are not known yet
            return ()
        misfits = self._misfits(config)
        if misfits:
            self._waiting_config = config
            return (ConfigRefused(tuple(misfits.values())),)
        self._waiting_config = None
        self._config = config
        self._reach = Reach(config.peers)
        self._missing.discard(Source.CONFIG)
        return (ConfigApplied(config), *self._decide_all())

    def config_invalid(self) -> None:
        """Discard a configuration that waits to be applied, as a later one is invalid."""
        self._waiting_config = None

    def _misfits(self, config: Config) -> dict[str, str]:
        """Return a problem for each service that would lose its pool, by service key.

        All services count, not only those that this node announces (MetalLB), so that every
        speaker and the controller decide alike.
        """
        return {
            key: f'new config not compatible with assigned IPs: service "{key}" cannot own '
            f"{go_quote_list(addresses)} under new config"
            for key in sorted(self._services)
            if (addresses := self._addresses(key))
            and self._config.pool_of(addresses) is not None
            and config.pool_of(addresses) is None
        }

    def _addresses(self, key: str) -> tuple[IPAddress, ...]:
        service = self._services.get(key)
        return _valid_addresses(service) if service else ()

    def _retry_config(self) -> tuple[Effect, ...]:
        waiting = self._waiting_config
        if waiting is None:
            return ()
        if not self._obstacles.are_gone(waiting, self._addresses, lambda: self._misfits(waiting)):
            return ()
        return self.config_changed(waiting)

    def _decide_all(self) -> tuple[Effect, ...]:
        keys = self._services.keys() | self._announced.keys()
        return tuple(effect for key in sorted(keys) for effect in self._decide(key))

    def _decide(self, key: str) -> tuple[Effect, ...]:
        """Decide about one service; an exception affects this service alone."""
        if self._missing:
            return ()
        effects = contain(partial(self._decide_one, key))
        if isinstance(effects, InternalError):
            return self._decision_failed(key, effects.detail)
        self._failed.pop(key, None)
        return effects

    def _decide_one(self, key: str) -> tuple[Effect, ...]:
        context = DecisionContext(self._node, self._cluster, self._config)
        service, endpoints = self._services.get(key), self._endpoints.get(key)
        decision = decide(service, endpoints, context)
        reports = self._report_unannounced(key, context, decision)
        if decision.announcement is None:
            return (*self._withdraw(key, decision), *reports)
        self._refused.pop(key, None)
        return (*self._announce(key, decision, decision.announcement), *reports)

    def _report_unannounced(
        self, key: str, context: DecisionContext, decision: Decision
    ) -> tuple[Effect, ...]:
        """Report a change of whether any node announces a service, if this node is the reporter."""
        service = self._services.get(key)
        if service is None:
            self._unannounced.pop(key, None)
            return ()
        endpoints = self._endpoints.get(key)
        detail = why_unannounced(service, endpoints, context, decision, self._reach)
        if detail and reporter(key, self._cluster.usable_speakers | {self._node}) != self._node:
            detail = ""
        if detail == self._unannounced.get(key, ""):
            return ()
        if detail:
            self._unannounced[key] = detail
        else:
            del self._unannounced[key]
        return (Unannounced(service, detail),)

    def _decision_failed(self, key: str, detail: str) -> tuple[Effect, ...]:
        service = self._services.get(key)
        if service is None or self._failed.get(key) == detail:
            return ()
        self._failed[key] = detail
        return (DecisionFailed(service, detail),)

    def _announce(
        self, key: str, decision: Decision, announcement: Announcement
    ) -> tuple[Effect, ...]:
        earlier = self._announced.get(key)
        reports = self._report_failed_checks(key, decision.verdict)
        if earlier == announcement:
            return reports
        if earlier is not None and earlier.differs_only_in_endpoints(announcement):
            self._announced[key] = announcement
            return (Adjust(key, announcement), *reports)
        effects: list[Effect] = []
        if earlier is not None and earlier.protocol is not announcement.protocol:
            effects.append(Withdraw(key, earlier, "protocolChanged", ""))
        elif earlier is not None and earlier.addresses != announcement.addresses:
            effects.append(Withdraw(key, earlier, "loadBalancerIPChanged", ""))
        self._announced[key] = announcement
        effects.append(Announce(self._services[key], announcement, decision.verdict))
        return (*effects, *reports)

    def _report_failed_checks(self, key: str, verdict: Verdict) -> tuple[Effect, ...]:
        """Report failed checks of a decision to announce, if they changed."""
        detail = "; ".join(check.detail for check in verdict.checks if not check.passed)
        if detail == self._off_subnet.get(key, ""):
            return ()
        self._off_subnet[key] = detail
        return (AnnouncedOffSubnet(self._services[key], detail),) if detail else ()

    def _withdraw(self, key: str, decision: Decision) -> tuple[Effect, ...]:
        verdict = decision.verdict
        self._off_subnet.pop(key, None)
        effects: list[Effect] = []
        if verdict.reason not in _ERROR_REASONS:
            self._refused.pop(key, None)
        elif self._refused.get(key) != verdict.detail:
            self._refused[key] = verdict.detail
            effects.append(AddressRejected(key, verdict))
        earlier = self._announced.pop(key, None)
        if earlier is not None:
            # Another protocol's announcement is not what the elected node takes over.
            lost = verdict.checks[-1].name == ELECTION and earlier.protocol is decision.protocol
            effects.append(Withdraw(key, earlier, verdict.reason, verdict.detail, lost))
        return tuple(effects)


def _valid_addresses(service: Service) -> tuple[IPAddress, ...]:
    if not service.is_load_balancer:
        return ()
    try:
        return tuple(parse_address(entry.ip) for entry in service.ingress)
    except ValueError:
        return ()
