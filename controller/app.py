"""Tasks of the leading controller: API events to the core, its effects to drivers, logs, metrics.

Only the leader runs them, so one controller at a time writes.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import assert_never

from controller.annotation_warnings import AnnotationWarnings
from controller.assignment import Outcome, Reason
from controller.config_record import ConfigRecord
from controller.core import Controller
from controller.drivers.service_status import (
    RetryDue,
    StatusEvent,
    StatusWriter,
    WriteFailed,
    Written,
)
from controller.effects import (
    ConfigApplied,
    ConfigRefused,
    Decided,
    DrainingChanged,
    Effect,
    Orphaned,
    ServiceGone,
    Started,
    StatusContested,
    WriteStatus,
)
from controller.metrics import ControllerMetrics
from controller.options import Options
from controller.orphaned_addresses import OrphanPolicy
from controller.simulation import configure
from metallb_py.addresses import go_quote_list
from metallb_py.config.draining import configured_name
from metallb_py.errors import ConflictError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.config_state import StateNames
from metallb_py.kube.config_status import in_brief
from metallb_py.kube.configmap import ConfigReader, ParsedConfig, Update, config_resource
from metallb_py.kube.events import Event, EventRecorder, EventType, ObjectReference
from metallb_py.kube.objects import NAMESPACES, SERVICES, ConfigMap, Namespace, Service
from metallb_py.kube.reflector import (
    Changed,
    Reachable,
    Reflector,
    ReflectorEvent,
    Synced,
    Undecodable,
    Unreachable,
)
from metallb_py.model.config import Config, Pool
from metallb_py.runtime.compile_worker import ConfigQueue
from metallb_py.runtime.daemon import ConfigReporter
from metallb_py.runtime.httpd import Check, Render
from metallb_py.runtime.log import Level, Logger
from metallb_py.runtime.mailbox import Mailbox
from metallb_py.runtime.object_reports import ObjectReporter
from metallb_py.runtime.tasks import run_until

COMPONENT = "metallb-controller"

# MetalLB logs these at levels other than "info".
_CLEAR_LEVELS = {Reason.NOT_LOAD_BALANCER: Level.DEBUG, Reason.LB_IP_FAMILY: Level.ERROR}


class App:
    """Connects the core with the API server. All work is done in the tasks of ``run``."""

    def __init__(
        self, options: Options, client: KubeClient, log: Logger, metrics: ControllerMetrics
    ) -> None:
        common = options.common
        self._log = log
        self._metrics = metrics
        self._core = Controller(options.load_balancer_class, options.orphaned_addresses)
        self._mailbox = Mailbox()
        post = self._mailbox.handler
        self._services = Reflector(client, SERVICES, post(self._on_service))
        self._namespaces = Reflector(client, NAMESPACES, post(self._on_namespace))
        self._namespaces_wanted = asyncio.Event()
        self._configmaps = Reflector(
            client, config_resource(common.namespace, common.config), post(self._on_configmap)
        )
        names = StateNames(common.namespace, common.config)
        self._states = Reflector(client, names.resource, post(self._on_state))
        self._statuses = StatusWriter(client, post(self._on_status))
        self._events = EventRecorder(client, COMPONENT)
        kinds = ("Service", "Namespace", "ConfigMap")
        self._objects = ObjectReporter(log, metrics, self._events.record, kinds)
        self._config = ConfigReporter(log, self._metrics, names.key)
        self._record_of_config = ConfigRecord(client, names, log, metrics, self._events)
        self._reader = ConfigReader(common.namespace, common.config)
        self._compiling = ConfigQueue(post(self._configure))
        self._config_listed = False
        # Texts that are in force or may come into force; the latest is last.
        self._parsed: tuple[ParsedConfig, ...] = ()
        self._draining: tuple[Pool, ...] = ()
        self._annotation_warnings = AnnotationWarnings()
        # Creation times (Unix seconds) of services with a new address that is not written yet.
        self._unwritten: dict[str, float] = {}
        self._deadline_changed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Run all tasks until ``stop`` is set."""
        await run_until(
            stop,
            {
                "state": self._mailbox.run(),
                "deadlines": self._keep_deadlines(),
                "services": self._services.run(),
                "namespaces": self._follow_namespaces(),
                "config": self._configmaps.run(),
                "config compiler": self._compiling.run(),
                "stored state": self._states.run(),
                **self._record_of_config.tasks(),
                "statuses": self._statuses.run(),
                "events": self._events.run(),
            },
        )

    async def _follow_namespaces(self) -> None:
        """Watch namespaces once a pool selects by their labels.

        Not before, as MetalLB's ClusterRole does not grant it.
        """
        await self._namespaces_wanted.wait()
        await self._namespaces.run()

    async def _keep_deadlines(self) -> None:
        """Post the core's deadlines to the mailbox, so that one task changes the state."""
        post = self._mailbox.handler(self._on_deadline)
        while True:
            self._deadline_changed.clear()
            deadline = self._core.next_deadline()
            delay = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                async with asyncio.timeout(delay):
                    await self._deadline_changed.wait()
            except TimeoutError:
                await post(None)
                await self._deadline_changed.wait()

    def _on_deadline(self, _: None) -> None:
        self._perform(self._core.handle_timeout(time.monotonic()))

    # Events from reflectors and drivers

    def _on_service(self, event: ReflectorEvent[Service]) -> None:
        match event:
            case Changed(key, _, service):
                self._metrics.updates.inc()
                self._perform(self._core.service_changed(key, service, time.monotonic()))
                self._warn_of_annotations(key, service)
            case Synced():
                self._perform(self._core.services_synced())
            case Unreachable() | Reachable():
                self._config.api_server(event, "services")
            case Undecodable():
                self._objects.undecodable(event)
            case _:
                assert_never(event)

    def _warn_of_annotations(self, key: str, service: Service | None) -> None:
        if service is not None and not self._core.concerns(service):
            service = None
        for miss in self._annotation_warnings.changed(key, service, time.monotonic()):
            self._log.warn(str(miss), event="unknownAnnotation", service=key)
            if service is not None:
                self._record(service, EventType.WARNING, "UnknownAnnotation", str(miss))

    def _on_namespace(self, event: ReflectorEvent[Namespace]) -> None:
        match event:
            case Changed(key, _, namespace):
                self._metrics.updates.inc()
                labels = (namespace.metadata.labels or {}) if namespace else None
                self._perform(self._core.namespace_changed(key, labels))
            case Synced():
                self._perform(self._core.namespaces_synced())
            case Unreachable() | Reachable():
                self._config.api_server(event, "namespaces")
            case Undecodable():
                self._objects.undecodable(event)
            case _:
                assert_never(event)

    def _on_configmap(self, event: ReflectorEvent[ConfigMap]) -> None:
        match event:
            case Changed():
                self._metrics.updates.inc()
                self._reader.configmap_changed(event.new)
                self._record_of_config.configmap_changed(event.new)
            case Synced():
                self._config_listed = True
                self._reader.configmap_synced()
            case Unreachable() | Reachable():
                self._config.api_server(event, "configmaps")
            case Undecodable():
                self._objects.undecodable(event)
            case _:
                assert_never(event)
        self._read_config()

    def _on_state(self, event: ReflectorEvent[ConfigMap]) -> None:
        match event:
            case Changed(key, _, item):
                name = key.rpartition("/")[2]
                self._config.state(self._reader.state_changed(name, item))
                self._record_of_config.state_changed(name, item)
            case Synced():
                self._reader.state_synced()
            case Unreachable() | Reachable():
                self._config.api_server(event, "configmaps with the stored state")
            case Undecodable():
                self._objects.undecodable(event)
            case _:
                assert_never(event)
        self._read_config()

    def _read_config(self) -> None:
        inputs = self._reader.next()
        if inputs is not None:
            self._compiling.submit(inputs.read)

    def _configure(self, update: Update) -> None:
        self._config.state(update.problem)
        latest = update.latest
        found = [each for each in (update.last_good, latest) if each and each.config]
        self._parsed = (*self._parsed[-2:], *found)
        if any(each.config and each.config.selects_namespaces for each in found):
            self._namespaces_wanted.set()
        self._record_of_config.read(latest)
        self._perform(configure(self._core, update))
        if latest is None:
            self._config.missing(self._core.configured)
        elif latest.config is None:
            self._refuse_config(tuple(map(str, latest.problems)))
        elif not latest.text.strip():
            self._record_of_config.empty()

    def _on_status(self, event: StatusEvent) -> None:
        match event:
            case Written(key):
                self._log.info("updated service object", event="serviceUpdated", service=key)
                created = self._unwritten.pop(key, None)
                if created is not None:
                    self._metrics.allocation_seconds.observe(max(0.0, time.time() - created))
            case WriteFailed(key, error):
                self._metrics.update_errors.inc()
                log = self._log.bind(service=key, op="updateServiceStatus", error=str(error))
                if isinstance(error, ConflictError):
                    log.debug("service changed meanwhile, deciding again")
                else:
                    log.error("failed to update service status")
            case RetryDue(key):
                effects = self._core.retry(key, time.monotonic())
                if not effects:
                    self._statuses.forget(key)  # nothing is left to write, or it was deleted
                self._perform(effects)

    # Effects of the core

    def _perform(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            self._perform_one(effect)
        self._deadline_changed.set()

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case WriteStatus():
                self._statuses.write(effect)
            case Decided(service, outcome):
                self._report_outcome(service, outcome)
            case StatusContested():
                self._report_contest(effect)
            case ServiceGone(key):
                self._statuses.forget(key)
                self._unwritten.pop(key, None)
                self._log.info("service deleted", event="serviceDeleted", service=key)
            case ConfigApplied(config):
                self._config_applied(config)
            case ConfigRefused(problems):
                self._refuse_config(problems, valid=True)
            case Orphaned():
                self._report_orphan(effect)
            case DrainingChanged(pools):
                self._draining_changed(pools)
            case Started():
                self._record_of_config.started()
                self._log.info("controller synced, can allocate IPs now", event="stateSynced")
            case _:
                assert_never(effect)

    def _report_outcome(self, service: Service, outcome: Outcome) -> None:
        log = self._log.bind(service=service.key)
        if outcome.cleared is not None:
            reason = outcome.cleared.reason
            level = _CLEAR_LEVELS.get(reason, Level.INFO)
            fields = {"event": "clearAssignment", "reason": reason.value}
            log.log(level, "address taken from service", error=outcome.cleared.detail, **fields)
            if service.is_load_balancer:
                message = f"lost its addresses: {reason}: {outcome.cleared.detail}"
                self._record(service, EventType.WARNING, "ClearAssignment", message)
        addresses = go_quote_list(outcome.addresses)
        if outcome.allocated:
            self._unwritten[service.key] = _created(service)
            ips = [str(address) for address in outcome.addresses]
            log.info(
                "IP address assigned by controller",
                event="ipAllocated",
                ip=ips,
                pool=outcome.pool,
            )
            self._record(service, EventType.NORMAL, "IPAllocated", f"Assigned IP {addresses}")
            return
        if not outcome.addresses:
            self._unwritten.pop(service.key, None)  # it lost them before they were written
        if outcome.verdict.reason and service.is_load_balancer:
            self._report_refusal(service, outcome, log)

    def _report_refusal(self, service: Service, outcome: Outcome, log: Logger) -> None:
        detail = outcome.verdict.detail
        if outcome.addresses and outcome.verdict.reason != Reason.INTERNAL_ERROR:
            detail += f"; until then it keeps {go_quote_list(outcome.addresses)}"
        match outcome.verdict.reason:
            case Reason.BEING_DELETED:
                log.debug("no new addresses for a service that is being deleted")
                return
            case Reason.INTERNAL_ERROR:
                self._metrics.service_errors.inc()
                log.error("failed to decide about service", op="convergeService", error=detail)
                message = detail
            case Reason.ALLOCATION_FAILED:
                log.error("IP allocation failed", op="allocateIPs", error=detail)
                message = f'Failed to allocate IP for "{service.key}": {detail}'
            case Reason.INVALID_REQUEST:
                log.error(
                    "invalid requested loadbalancer IPs", event="loadbalancerIP", error=detail
                )
                message = f"invalid requested loadbalancer IPs: {detail}"
            case _:
                log.info(
                    "can't fulfil service's request", reason=outcome.verdict.reason, error=detail
                )
                message = detail
        self._record(service, EventType.WARNING, outcome.verdict.reason, message)

    def _report_contest(self, contest: StatusContested) -> None:
        """Warn once about another controller that writes the same status (e.g. k3s's ServiceLB)."""
        ours, foreign = go_quote_list(contest.addresses), ", ".join(contest.foreign)
        message = (
            f"another controller overwrites the status: found [{foreign}], want {ours}; further "
            "writes are delayed: disable the other load balancer, or give the service a "
            "loadBalancerClass"
        )
        key = contest.service.key
        self._log.warn(message, event="statusContested", service=key)
        self._record(contest.service, EventType.WARNING, "StatusContested", message)

    def _config_applied(self, config: Config) -> None:
        self._config.loaded()
        self._reader.mark_in_force()
        parsed = next((r for r in reversed(self._parsed) if r.config == config), None)
        self._record_of_config.applied(parsed)

    def _draining_changed(self, pools: tuple[Pool, ...]) -> None:
        self._draining = pools
        names = [configured_name(pool.name) for pool in pools]
        self._log.info("draining pools changed", event="drainingPools", pools=names)
        self._record_of_config.draining_changed(pools)

    def _report_orphan(self, orphan: Orphaned) -> None:
        held = orphan.held
        addresses, pool = go_quote_list(held.addresses), configured_name(held.pool)
        consequence = {
            OrphanPolicy.DRAIN: "it keeps them until it releases them",
            OrphanPolicy.REFUSE: "the new configuration waits until it releases them",
            OrphanPolicy.RENUMBER: "it gets other addresses",
        }[orphan.policy]
        message = f'pool "{pool}" was removed while this service holds {addresses}: {consequence}'
        self._log.warn(message, event="orphanedAddresses", service=orphan.service.key, pool=pool)
        self._record(orphan.service, EventType.WARNING, "OrphanedAddresses", message)

    def _refuse_config(self, problems: tuple[str, ...], *, valid: bool = False) -> None:
        self._config.stale(in_brief(problems))
        configmap = self._reader.item
        if configmap is not None:
            about = ObjectReference.to("ConfigMap", configmap)
            message = "config (re)load failed, the last good one stays in force: "
            message += "; ".join(problems)
            self._events.record(Event(about, EventType.WARNING, "configStale", message))
        self._record_of_config.refused(problems if valid else ())

    def _record(self, service: Service, kind: EventType, reason: str, message: str) -> None:
        about = ObjectReference.to("Service", service)
        self._events.record(Event(about, kind, reason, message))

    # Metrics and probes of the HTTP port

    def collect(self) -> Render:
        """Copy the metrics' values from the state; return the function that renders the page.

        The function may run in another thread. Pools are counted only for a scrape.
        """
        metrics = self._metrics
        usage = self._core.allocator.usage()
        metrics.pending.set(len(self._core.pending))
        metrics.draining_services.set(self._core.draining)
        metrics.draining_pools.set(len(self._draining))

        def render() -> tuple[bytes, str]:
            metrics.forget_pools_but(usage)
            for pool, families in usage.items():
                counts = {family.label: (u.total, u.in_use) for family, u in families.items()}
                metrics.show_pool(pool, counts)
            return metrics.render()

        return render

    def live(self) -> tuple[Check, ...]:
        """Return the liveness check: whether the task that owns the state makes progress."""
        return (Check("state", not self._mailbox.is_stuck, "its owner makes no progress"),)

    def ready(self) -> tuple[Check, ...]:
        """Return the readiness checks: whether all resources were listed once.

        They stay passed while the API server is unreachable. A missing configuration does not fail
        them: the webhook, which gets reviews only while this pod is ready, may have to review the
        configuration before it can be created.
        """
        return (
            *self.live(),
            Check("services-synced", self._core.services_are_synced, "not listed yet"),
            Check("config-synced", self._config_listed, "not listed yet"),
        )


def _created(service: Service) -> float:
    """Return the creation time in Unix seconds; the present time if it can't be parsed."""
    try:
        return datetime.fromisoformat(service.metadata.creation_timestamp or "").timestamp()
    except (ValueError, OverflowError):
        return time.time()
