"""The speaker's state and every event that changes it. Events in, effects out, no I/O.

Nothing is announced before everything was read once: services, endpoints, speakers, and a
configuration. What the API server says later changes single services; while it is away, what was
decided stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from speaker.announced import Announced
from speaker.bgp.reach import Reach
from speaker.decision import Announcement, Decision, Surroundings, decide, why_unannounced
from speaker.layer2.election import reporter
from speaker.layer2.eligibility import ELECTION, UNKNOWN, Cluster, NodeState


class Source(Enum):
    """What must have been read once before anything is announced."""

    SERVICES = auto()
    ENDPOINTS = auto()
    SPEAKERS = auto()
    NODE = auto()
    CONFIG = auto()


@dataclass(frozen=True, slots=True)
class Announce:
    """Announce a service, in place of what was announced for it before."""

    service: Service
    announcement: Announcement
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Adjust:
    """Go on to announce a service, with another number of endpoints. Nobody need be told."""

    key: str
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Stop announcing a service. ``handed_over``: another node announces it from now on."""

    key: str
    announcement: Announcement
    reason: str
    detail: str
    handed_over: bool = False


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A service is announced, but hardly in a way that its clients can use: why."""

    service: Service
    detail: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A service has addresses that can't be announced by anybody."""

    key: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class ConfigApplied:
    """A configuration is in force."""

    config: Config


@dataclass(frozen=True, slots=True)
class ConfigRefused:
    """A configuration does not fit what is announced; the earlier one stays in force."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelsChanged:
    """The labels of this node changed, so other peers may select it."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unannounced:
    """No node announces a service that has an address: why. Empty: one does again.

    One speaker, the same for all of them, reports it of each service.
    """

    service: Service
    detail: str


@dataclass(frozen=True, slots=True)
class DecisionFailed:
    """The decision about one service ended in an exception: what is announced of it stays."""

    service: Service
    detail: str


Effect = (
    Announce
    | Adjust
    | Withdraw
    | Doubtful
    | Refused
    | ConfigApplied
    | ConfigRefused
    | LabelsChanged
    | Unannounced
    | DecisionFailed
)

# These need somebody's attention; the other reasons are the daily business of a cluster.
_ALARMING = frozenset({"invalidIP", "ipNotAllowed"})


class Speaker:
    """The speaker's one state owner."""

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
        self._macs: frozenset[str] | None = None  # of all nodes' wires, once they are asked for
        self._refused: dict[str, str] = {}
        self._doubts: dict[str, str] = {}
        self._unannounced: dict[str, str] = {}
        self._reach = Reach()
        self._failed: dict[str, str] = {}

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def waits_for_config(self) -> bool:
        """Whether no valid configuration was read yet."""
        return Source.CONFIG in self._missing

    @property
    def is_synced(self) -> bool:
        """Whether everything but the configuration was listed once, and this is not the end."""
        return self._missing <= {Source.CONFIG}

    @property
    def is_ready(self) -> bool:
        """Whether everything was read once, so that this node could announce."""
        return not self._missing

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of this node, as far as known."""
        return self._labels

    def service(self, key: str) -> Service | None:
        """Return a service, as it counts; None where there is none."""
        return self._services.get(key)

    def announced_at(self, address: IPAddress) -> tuple[Service, ...]:
        """Return the services that this node announces an address for."""
        keys = self._announced.at(address)
        return tuple(self._services[key] for key in keys if key in self._services)

    def is_a_speakers(self, mac: str) -> bool:
        """Whether a MAC address is that of a node with a speaker."""
        if self._macs is None:
            states = self._cluster.nodes.values()
            self._macs = frozenset(wire.mac for state in states for wire in state.wires or ())
        return mac in self._macs

    def ending(self, staying: frozenset[Protocol] = frozenset()) -> tuple[Effect, ...]:
        """This speaker is about to end: others announce what it did, and it nothing more.

        What it announces by these protocols stays reachable over this node until it is back.
        """
        self._missing.add(Source.SERVICES)
        announced, self._announced = self._announced, Announced()
        return tuple(
            Withdraw(key, announcement, "speakerEnding", "", handed_over=True)
            for key, announcement in sorted(announced.items())
            if announcement.protocol not in staying
        )

    def synced(self, source: Source) -> tuple[Effect, ...]:
        """Everything that a source has was told."""
        if source not in self._missing:
            return ()
        self._missing.discard(source)
        waiting = None if self._missing else self._waiting_config
        return (*self._decide_all(), *(self.config_changed(waiting) if waiting else ()))

    def service_changed(self, key: str, service: Service | None) -> tuple[Effect, ...]:
        """A service appeared, changed, or is gone (None)."""
        if service is not None and (service.spec.load_balancer_class or "") == self._class:
            self._services[key] = service
        elif self._services.pop(key, None) is None:
            return ()
        return (*self._decide(key), *self._retry_config())

    def endpoints_changed(self, key: str, endpoints: ServiceEndpoints | None) -> tuple[Effect, ...]:
        """The endpoints of a service changed, or are gone (None)."""
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
        """Other nodes have a usable speaker now, or something else is known of nodes.

        Both at once, for they come from the same pods: of a node whose speaker went nothing is
        known any more, and then it must be no candidate either.
        """
        labels = nodes.get(self._node, UNKNOWN).labels
        told: tuple[Effect, ...] = ()
        if labels != self._labels:
            self._labels = dict(labels)
            told = (LabelsChanged(self._labels),)
        cluster = replace(self._cluster, usable_speakers=frozenset(usable), nodes=dict(nodes))
        if cluster == self._cluster:
            return told
        self._cluster = cluster
        self._reach = Reach(self._config.peers)
        self._macs = None
        return (*told, *self._decide_all())

    def config_changed(self, config: Config) -> tuple[Effect, ...]:
        """A valid configuration was read."""
        if Source.CONFIG not in self._missing and self._missing:
            self._waiting_config = config  # what services hold is not known yet
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
        """The latest configuration can't be used: forget one that waited to be applied."""
        self._waiting_config = None

    def _misfits(self, config: Config) -> dict[str, str]:
        """Say, by key, which services would lose their pool.

        All services count, not only those that this node announces (MetalLB), so that every
        speaker and the controller come to the same answer.
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
        """Decide about one service. What it provokes is its own problem, not the others'."""
        if self._missing:
            return ()
        effects = contain(partial(self._decide_one, key))
        if isinstance(effects, InternalError):
            return self._decision_failed(key, effects.detail)
        self._failed.pop(key, None)
        return effects

    def _decide_one(self, key: str) -> tuple[Effect, ...]:
        around = Surroundings(self._node, self._cluster, self._config)
        service, endpoints = self._services.get(key), self._endpoints.get(key)
        decision = decide(service, endpoints, around)
        reports = self._report_unannounced(key, around, decision)
        if decision.announcement is None:
            return (*self._stop(key, decision), *reports)
        self._refused.pop(key, None)
        return (*self._go(key, decision, decision.announcement), *reports)

    def _report_unannounced(
        self, key: str, context: Surroundings, decision: Decision
    ) -> tuple[Effect, ...]:
        """Report that no node announces a service, where that is news and this node's to report."""
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

    def _go(self, key: str, decision: Decision, announcement: Announcement) -> tuple[Effect, ...]:
        earlier = self._announced.get(key)
        doubts = self._doubt(key, decision.verdict)
        if earlier == announcement:
            return doubts
        if earlier is not None and earlier.resembles(announcement):
            self._announced[key] = announcement
            return (Adjust(key, announcement), *doubts)
        effects: list[Effect] = []
        if earlier is not None and earlier.protocol is not announcement.protocol:
            effects.append(Withdraw(key, earlier, "protocolChanged", ""))
        elif earlier is not None and earlier.addresses != announcement.addresses:
            effects.append(Withdraw(key, earlier, "loadBalancerIPChanged", ""))
        self._announced[key] = announcement
        effects.append(Announce(self._services[key], announcement, decision.verdict))
        return (*effects, *doubts)

    def _doubt(self, key: str, verdict: Verdict) -> tuple[Effect, ...]:
        """Tell what a decision to announce was made in spite of, when it is new."""
        detail = "; ".join(check.detail for check in verdict.checks if not check.passed)
        if detail == self._doubts.get(key, ""):
            return ()
        self._doubts[key] = detail
        return (Doubtful(self._services[key], detail),) if detail else ()

    def _stop(self, key: str, decision: Decision) -> tuple[Effect, ...]:
        verdict = decision.verdict
        self._doubts.pop(key, None)
        effects: list[Effect] = []
        if verdict.reason not in _ALARMING:
            self._refused.pop(key, None)
        elif self._refused.get(key) != verdict.detail:
            self._refused[key] = verdict.detail
            effects.append(Refused(key, verdict))
        earlier = self._announced.pop(key, None)
        if earlier is not None:
            lost = verdict.checks[-1].name == ELECTION
            effects.append(Withdraw(key, earlier, verdict.reason, verdict.detail, lost))
        return tuple(effects)


def _valid_addresses(service: Service) -> tuple[IPAddress, ...]:
    if not service.is_load_balancer:
        return ()
    try:
        return tuple(parse_address(entry.ip) for entry in service.ingress)
    except ValueError:
        return ()
