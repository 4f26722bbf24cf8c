"""Tasks of the speaker, from the API server's events to announcements, logs and Events.

Each event goes to the core, whose effects ``App`` performs: it calls the announcers, writes log
lines, sets metrics and records Events.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TypeVar, assert_never

from metallb_py.errors import ApiError
from metallb_py.isolation import InternalError, contain
from metallb_py.kube.annotations import AnnotationWriter
from metallb_py.kube.client import KubeClient
from metallb_py.kube.config_state import StateNames
from metallb_py.kube.config_status import in_brief
from metallb_py.kube.configmap import ConfigReader, Update, config_resource
from metallb_py.kube.endpoints import SliceIndex, from_endpoints
from metallb_py.kube.events import Event, EventRecorder, EventType, ObjectReference
from metallb_py.kube.listing import has_slices
from metallb_py.kube.objects import (
    ENDPOINTS,
    NODES,
    SERVICES,
    SLICES,
    ConfigMap,
    Endpoints,
    EndpointSlice,
    KubeObject,
    Node,
    Pod,
    Resource,
    Service,
)
from metallb_py.kube.reflector import (
    Changed,
    Reachable,
    Reflector,
    ReflectorEvent,
    Synced,
    Undecodable,
    Unreachable,
)
from metallb_py.runtime.compile_worker import ConfigQueue
from metallb_py.runtime.daemon import ConfigReporter, run_daemon
from metallb_py.runtime.httpd import Check, Httpd, Sources
from metallb_py.runtime.log import Logger
from metallb_py.runtime.mailbox import Mailbox
from metallb_py.runtime.object_reports import ObjectReporter
from metallb_py.runtime.tasks import run_until
from speaker.announcers.bgp_passwords import Passwords
from speaker.announcers.interface import Checked, Configurable, RouteAnnouncer
from speaker.announcers.layer2 import LinkEvent
from speaker.announcers.registry import announcers
from speaker.bgp.shutdown import shutdown_mode
from speaker.core import (
    AddressRejected,
    Adjust,
    Announce,
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
from speaker.layer2.candidates import exclusion
from speaker.layer2.conflicts import Conflicts
from speaker.layer2.eligibility import LABELED, NodeState
from speaker.members import InterfacePublication, Members
from speaker.membership.choose import choose_membership
from speaker.metrics import SpeakerMetrics
from speaker.node_name import node_name_problem
from speaker.options import Options
from speaker.patience import ReportDelay
from speaker.responder.events import AddressConflict, InterfacesChanged
from speaker.status_damper import StatusDamper

COMPONENT = "metallb-speaker"

T = TypeVar("T", bound=KubeObject)


async def run(options: Options, stop: asyncio.Event) -> int:
    """Run the speaker until ``stop`` is set; return the exit status."""

    async def serve(client: KubeClient, log: Logger) -> None:
        await App(options, client, log).run(stop)

    return await run_daemon("speaker", options.common, serve)


class App:
    """Connects the core to the API server and the announcers, in the tasks of ``run``."""

    def __init__(self, options: Options, client: KubeClient, log: Logger) -> None:
        common = options.common
        self._options = options
        self._client = client
        self._log = log
        self._metrics = SpeakerMetrics()
        self._core = Speaker(
            options.node_name,
            options.load_balancer_class,
            any_interface=options.layer2.any_interface,
        )
        self._slices = SliceIndex()
        self._reader = ConfigReader(common.namespace, common.config, follow_state=True)
        self._membership = choose_membership(
            options.membership, options.node_name, client, log, self._metrics
        )
        self._members = Members(self._membership, options.rules, self._on_members)
        self._annotations = AnnotationWriter(client)
        self._publication = InterfacePublication(
            options.node_name, self._membership, self._annotations.write
        )
        self._conflicts = Conflicts()
        self._report_delay = ReportDelay()
        self._damper = StatusDamper(self._is_allowed)
        self._timers = asyncio.Event()
        self._now = asyncio.get_running_loop().time
        self._mailbox = Mailbox()
        self._compiling = ConfigQueue(self._mailbox.handler(self._use))
        self._announcers = announcers(options, log, self._metrics, self._on_link_event)
        self._passwords = Passwords(client, common.namespace, log, self._metrics, self._configure)
        self._events = EventRecorder(client, COMPONENT)
        # For the kinds that the controller watches, too, the controller records the Events.
        kinds = ("EndpointSlice", "Endpoints", "Node", "Pod")
        self._objects = ObjectReporter(log, self._metrics, self._events.record, kinds)
        sources = Sources(lambda: self._metrics.render, self._live, self._ready)
        self._page = Httpd(common.host, common.port, sources, log)
        self._config = ConfigReporter(log, self._metrics, f"{common.namespace}/{common.config}")

    async def run(self, stop: asyncio.Event) -> None:
        """Run every task of the speaker until ``stop`` is set and the shutdown is complete."""
        common = self._options.common
        pods = Resource(
            f"/api/v1/namespaces/{common.namespace}/pods",
            Pod,
            {"labelSelector": self._options.speaker_labels},
        )
        configmap = config_resource(common.namespace, common.config)
        states = StateNames(common.namespace, common.config).resource
        ended = asyncio.Event()
        await run_until(
            ended,
            {
                "end": self._shut_down(stop, ended),
                "members": self._members.run(),
                "cluster": self._members.follow(),
                "state": self._mailbox.run(),
                "timers": self._handle_timeouts(),
                "services": self._follow(SERVICES, self._on_service, Source.SERVICES),
                "endpoints": self._follow_endpoints(),
                "node": self._follow(NODES, self._on_node, Source.NODE),
                "speakers": self._follow(pods, self._on_pod, Source.SPEAKERS),
                "config compiler": self._compiling.run(),
                "config": self._follow(configmap, self._on_configmap, self._on_config_synced),
                "stored state": self._follow(states, self._on_state, self._on_state_synced),
                **{protocol.value: each.run() for protocol, each in self._announcers.items()},
                "passwords": self._passwords.run(),
                "annotations": self._annotations.run(self._on_annotation_error),
                "events": self._events.run(),
                "page": self._page.run(self._on_page_error),
            },
        )

    async def _shut_down(self, stop: asyncio.Event, ended: asyncio.Event) -> None:
        """After ``stop``, keep answering until other nodes have taken over; then set ``ended``."""
        await stop.wait()
        options = self._options
        node = self._members.node(options.node_name)
        mode = shutdown_mode(options.on_stop, node, options.rules)
        staying = frozenset(
            protocol
            for protocol, announcer in self._announcers.items()
            if isinstance(announcer, RouteAnnouncer) and announcer.begin_shutdown(mode)
        )
        await self._membership.leave()
        self._perform(self._core.ending(staying))
        for announcer in self._announcers.values():
            await announcer.wait_drained()
        ended.set()

    # Events from the API server, the members and the link

    def _follow(
        self,
        resource: Resource[T],
        changed: Callable[[Changed[T]], None],
        synced: Source | Callable[[], None],
    ) -> Coroutine[None, None, None]:
        """List and watch a resource; report the end of the initial list to the core."""

        def handle(event: ReflectorEvent[T]) -> None:
            match event:
                case Changed():
                    self._metrics.updates.inc()
                    failed = contain(partial(changed, event))
                    if isinstance(failed, InternalError):
                        self._object_failed(resource.path, event.key, failed.detail)
                case Synced():
                    if not isinstance(synced, Source):
                        synced()
                        return
                    self._members.flush()
                    self._perform(self._core.synced(synced))
                    if synced is Source.SPEAKERS:
                        self._members.pods_synced()
                    if synced is Source.NODE:
                        self._check_node_name()
                case Unreachable() | Reachable():
                    self._config.api_server(event, resource.path)
                case Undecodable():
                    self._objects.undecodable(event)
                case _:
                    assert_never(event)

        return Reflector(self._client, resource, self._mailbox.handler(handle)).run()

    async def _follow_endpoints(self) -> None:
        if not self._options.disable_endpoint_slices and await has_slices(self._client):
            self._log.info("using endpoint slices", op="New")
            await self._follow(SLICES, self._on_slice, Source.ENDPOINTS)
        else:
            self._log.info("using endpoints", op="New")
            await self._follow(ENDPOINTS, self._on_endpoints, Source.ENDPOINTS)

    def _on_service(self, event: Changed[Service]) -> None:
        was_damped = self._damper.is_damped(event.key)
        service = self._damper.changed(event.key, event.old, event.new, self._now())
        if self._damper.is_damped(event.key) and not was_damped:
            self._log.warn(
                "the addresses in its status keep changing; changes now take effect with a delay",
                event="statusFlapping",
                service=event.key,
            )
        self._timers.set()
        self._perform(self._core.service_changed(event.key, service))

    def _is_allowed(self, service: Service) -> bool:
        addresses = service.status_addresses
        return bool(addresses) and self._core.config.pool_of(addresses) is not None

    async def _handle_timeouts(self) -> None:
        """Perform what is due: delayed reports, and statuses whose damping ends."""
        while True:
            due = (self._report_delay.next_deadline(), self._damper.next_deadline())
            self._timers.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(min(filter(None, due), default=None)):
                    await self._timers.wait()
            now = self._now()
            for service in self._damper.handle_timeout(now):
                self._perform(self._core.service_changed(service.key, service))
            for key, detail in self._report_delay.handle_timeout(now):
                self._report_unannounced(key, detail)

    def _report_unannounced(self, key: str, detail: str) -> None:
        service = self._core.service(key)
        if service is not None:
            message = f"announced by no node: {detail}"
            self._log.warn(message, event="notAnnounced", service=key)
            self._record(service, EventType.WARNING, "notAnnounced", message)

    def _object_failed(self, resource: str, key: str, detail: str) -> None:
        """Report an object whose handling raised an exception; other objects are unaffected."""
        self._metrics.object_errors.inc()
        self._log.error("failed to handle object", op=resource, object=key, error=detail)

    def _on_slice(self, event: Changed[EndpointSlice]) -> None:
        for key, endpoints in self._slices.changed(event.key, event.old, event.new).items():
            self._perform(self._core.endpoints_changed(key, endpoints))

    def _on_endpoints(self, event: Changed[Endpoints]) -> None:
        endpoints = from_endpoints(event.new) if event.new else None
        self._perform(self._core.endpoints_changed(event.key, endpoints))

    def _on_node(self, event: Changed[Node]) -> None:
        self._members.node_changed(event)
        if event.key == self._options.node_name:
            self._check_exclusion(event.old, event.new)
        if event.new is None and event.key == self._options.node_name:
            self._check_node_name()

    def _check_exclusion(self, old: Node | None, new: Node | None) -> None:
        """Log that this node is excluded, or is no longer: some clusters label every node."""
        before = exclusion(old, self._options.rules) if old else None
        now = exclusion(new, self._options.rules) if new else None
        if now is not None and now != before:
            flag = "; --ignore-exclude-lb ignores the label" if now.reason == LABELED else ""
            message = f"this node announces nothing: {now.detail}{flag}"
            self._log.warn(message, event="nodeExcluded", reason=now.reason)
        elif now is None and before is not None:
            self._log.info("this node may announce again", event="nodeIncluded")

    def _check_node_name(self) -> None:
        problem = node_name_problem(self._options.node_name, self._members.node_names)
        if problem:
            self._log.error(problem, event="unknownNode", op="startup")

    def _on_pod(self, event: Changed[Pod]) -> None:
        self._members.pod_changed(event)
        self._publication.pod_changed(event)

    def _on_annotation_error(self, error: ApiError) -> None:
        self._log.error("failed to annotate own pod", op="annotatePod", error=str(error))

    def _on_members(self, usable: frozenset[str], nodes: Mapping[str, NodeState]) -> None:
        self._perform(self._core.cluster_changed(usable, nodes))

    def _on_link_event(self, event: LinkEvent) -> None:
        match event:
            case InterfacesChanged(found):
                self._publication.interfaces_changed(found)
            case AddressConflict():
                self._on_conflict(event)
            case _:
                assert_never(event)

    def _on_conflict(self, conflict: AddressConflict) -> None:
        """Report a host that uses an address of ours, unless it is a speaker's: a handover."""
        if self._core.is_speaker_mac(conflict.mac):
            return
        self._metrics.layer2_conflicts.labels(str(conflict.address)).inc(conflict.count)
        admitted = self._conflicts.report(conflict.address, conflict.mac, time.monotonic())
        if admitted is None:
            return
        message = (
            f"address conflict: the host with MAC {conflict.mac} on {conflict.interface} announces "
            f"{conflict.address} as its own"
        )
        suppressed = {"suppressed": admitted.suppressed} if admitted.suppressed else {}
        self._log.warn(
            message,
            event="addressConflict",
            interface=conflict.interface,
            ip=str(conflict.address),
            mac=conflict.mac,
            **suppressed,
        )
        for service in self._core.announced_at(conflict.address):
            self._record(service, EventType.WARNING, "addressConflict", message)

    def _on_configmap(self, event: Changed[ConfigMap]) -> None:
        self._reader.configmap_changed(event.new)
        self._read_config()

    def _on_config_synced(self) -> None:
        self._reader.configmap_synced()
        self._read_config()

    def _on_state(self, event: Changed[ConfigMap]) -> None:
        name = event.key.rpartition("/")[2]
        self._config.state(self._reader.state_changed(name, event.new))
        self._read_config()

    def _on_state_synced(self) -> None:
        self._reader.state_synced()
        self._read_config()

    def _read_config(self) -> None:
        inputs = self._reader.next()
        if inputs is not None:
            self._compiling.submit(inputs.read)

    def _use(self, update: Update) -> None:
        """Apply the valid part of a configuration that was read; report the rest."""
        self._config.state(update.problem)
        config, latest = update.in_force(), update.latest
        if config is None:
            self._core.config_invalid()
        else:
            self._perform(self._core.config_changed(config))
            self._reader.mark_in_force()
        if latest is None:
            self._config.missing(not self._core.waits_for_config)
        elif latest.config is None:
            self._config.stale(in_brief(map(str, latest.problems)))
        elif update.refused:
            self._config.stale("the controller refused it: services hold addresses that it removes")

    def _live(self) -> tuple[Check, ...]:
        return (Check("state", not self._mailbox.is_stuck, "its owner makes no progress"),)

    def _ready(self) -> tuple[Check, ...]:
        """Return the conditions for announcing; none depends on reaching the API server."""
        return (
            *self._live(),
            Check("synced", self._core.is_synced, "not every resource was listed yet"),
            Check("config", not self._core.waits_for_config, "no valid configuration yet"),
            Check("membership", self._members.is_running, "it reported no usable speakers yet"),
            *(each.ready() for each in self._announcers.values() if isinstance(each, Checked)),
        )

    def _on_page_error(self, error: OSError) -> None:
        host, port = self._options.common.host, self._options.common.port
        self._log.error(
            "cannot listen and serve", op="listenAndServe", err=str(error), host=host, port=port
        )

    # Effects of the core

    def _perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Announce() | Adjust() | Withdraw():
                    failed = contain(partial(self._update_announcers, effect))
                    if isinstance(failed, InternalError):
                        key = effect.service.key if isinstance(effect, Announce) else effect.key
                        self._object_failed("announce", key, failed.detail)
                case AnnouncedOffSubnet() | AddressRejected() | Unannounced() | DecisionFailed():
                    self._report(effect)
                case ConfigApplied():
                    self._config.loaded()
                    self._configure()
                case ConfigRefused(problems):
                    self._config.stale(in_brief(problems))
                case LabelsChanged():
                    self._log.info(
                        "Node labels changed, resyncing BGP peers", event="nodeLabelsChanged"
                    )
                    self._configure()
                case _:
                    assert_never(effect)
        if self._core.is_ready:
            self._initial_sync_done()

    def _report(
        self, effect: AnnouncedOffSubnet | AddressRejected | Unannounced | DecisionFailed
    ) -> None:
        match effect:
            case AnnouncedOffSubnet(service, detail):
                self._log.warn(detail, event="noNodeOnSubnet", service=service.key)
                self._record(service, EventType.WARNING, "noNodeOnSubnet", detail)
            case AddressRejected(key, verdict):
                self._log.error(
                    "IP allocated by controller not allowed by config",
                    op="setBalancer",
                    service=key,
                    reason=verdict.reason,
                    error=verdict.detail,
                )
            case Unannounced(service, detail):
                self._report_delay.report(service.key, detail, self._now())
                self._timers.set()
            case DecisionFailed(service, detail):
                self._object_failed("setBalancer", service.key, detail)
                message = (
                    f"failed to decide about it, the earlier decision stays in force: {detail}"
                )
                self._record(service, EventType.WARNING, "internalError", message)
            case _:
                assert_never(effect)

    def _initial_sync_done(self) -> None:
        self._members.allow_join()
        for announcer in self._announcers.values():
            if isinstance(announcer, RouteAnnouncer):
                announcer.initial_sync_done()

    def _configure(self) -> None:
        labels = self._core.labels
        config = self._passwords.resolve_passwords(self._core.config, labels)
        for announcer in self._announcers.values():
            if isinstance(announcer, Configurable):
                announcer.configure(config, labels)

    def _update_announcers(self, effect: Announce | Adjust | Withdraw) -> None:
        match effect:
            case Announce():
                self._announce(effect)
            case Adjust(key, announcement):
                self._announcers[announcement.protocol].announce(key, announcement)
            case Withdraw():
                self._withdraw(effect)

    def _announce(self, effect: Announce) -> None:
        announcement = effect.announcement
        key, protocol = effect.service.key, announcement.protocol
        self._announcers[protocol].announce(key, announcement)
        ips = [str(address) for address in announcement.addresses]
        self._metrics.set_announced(key, protocol.value, self._options.node_name, ips)
        self._log.info(
            "service has IP, announcing",
            event="serviceAnnounced",
            service=key,
            ips=ips,
            pool=announcement.pool.name,
            protocol=protocol.value,
        )
        message = f'announcing from node "{self._options.node_name}" with protocol "{protocol}"'
        self._record(effect.service, EventType.NORMAL, "nodeAssigned", message)

    def _record(self, service: Service, kind: EventType, reason: str, message: str) -> None:
        about = ObjectReference.to("Service", service)
        self._events.record(Event(about, kind, reason, message))

    def _withdraw(self, effect: Withdraw) -> None:
        protocol = effect.announcement.protocol
        self._announcers[protocol].withdraw(effect.key, handed_over=effect.handed_over)
        ips = [str(address) for address in effect.announcement.addresses]
        self._metrics.clear_announced(effect.key, protocol.value, self._options.node_name, ips)
        self._log.info(
            "withdrawing service announcement",
            event="serviceWithdrawn",
            service=effect.key,
            ip=ips,
            protocol=protocol.value,
            reason=effect.reason,
            detail=effect.detail,
        )
