"""One replica of the controller: the tasks of every replica, and those of the leader.

Every replica serves metrics and the webhook. Only the leader runs ``app``, which is created anew
for each term, so that the first list that it reads is newer than any write of the previous leader.
Without ``--leader-elect`` this is the only replica, and its term never ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import assert_never
from uuid import uuid4

from controller.app import App
from controller.drivers.leader_elector import (
    Candidacy,
    ElectionEvent,
    Gained,
    Leadership,
    Term,
    Unreachable,
)
from controller.drivers.memberlist_secret import ensure_secret
from controller.drivers.reviewer import Reviewer
from controller.metrics import ControllerMetrics, StandbyMetrics
from controller.options import Options
from metallb_py.errors import ApiError, StartupError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.leader_election import Durations, Follow, LeadershipLost
from metallb_py.runtime.daemon import run_daemon
from metallb_py.runtime.httpd import Check, Httpd, Render, Sources
from metallb_py.runtime.log import Logger
from metallb_py.runtime.tasks import run_until

LEASE = "metallb-controller"


async def run(options: Options, stop: asyncio.Event) -> int:
    """Run the controller until ``stop`` is set; return the exit status."""

    async def serve(client: KubeClient, log: Logger) -> None:
        await Replica(options, client, log).run(stop)

    return await run_daemon("controller", options.common, serve)


class Replica:
    """The tasks of one replica."""

    def __init__(self, options: Options, client: KubeClient, log: Logger) -> None:
        self._options = options
        self._client = client
        self._log = log
        self._metrics = StandbyMetrics()
        self._app: App | None = None
        sources = Sources(self._collect, self._live, self._ready)
        self._httpd = Httpd("", options.common.port, sources, log)
        # Never reset, as readiness must not depend on the reachability of the API server.
        self._has_seen_lease = False
        self._identity = f"{socket.gethostname()}_{uuid4()}"

    async def run(self, stop: asyncio.Event) -> None:
        """Run all tasks until ``stop`` is set. Raises StartupError."""
        await self._make_secret()
        webhook = self._webhook_task()
        work = self._stand_for_election if self._options.lease_seconds else self._lead_alone
        tasks = {"page": self._httpd.run(self._on_httpd_error), "work": work(), **webhook}
        await run_until(stop, tasks)

    async def _make_secret(self) -> None:
        options = self._options
        if not options.memberlist_secret:
            return
        namespace = options.common.namespace
        try:
            made = await ensure_secret(
                self._client, namespace, options.memberlist_secret, options.deployment
            )
        except ApiError as error:
            raise StartupError("failed to create memberlist secret") from error
        message = "secret succesfully created" if made else "secret already exists, nothing to do"
        self._log.info(message, op="CreateMlSecret")

    def _webhook_task(self) -> dict[str, Coroutine[None, None, None]]:
        options = self._options
        if not options.webhook_port:
            return {}
        # Imported late: without the webhook no memory is needed for the certificate library.
        from controller.drivers.webhook import Webhook, WebhookOptions

        common = options.common
        webhook_options = WebhookOptions(
            options.webhook_port,
            options.webhook_hosts,
            options.webhook_configuration,
            Path(options.webhook_client_ca) if options.webhook_client_ca else None,
            options.webhook_client_names,
        )
        reviewer = Reviewer(
            self._client,
            common.namespace,
            common.config,
            options.orphaned_addresses,
            options.load_balancer_class,
        )
        webhook = Webhook(self._client, webhook_options, reviewer.answer, self._log)
        return {"webhook": webhook.run(self._on_webhook_error)}

    # Leading

    async def _lead_alone(self) -> None:
        await self._serve(self._client, ControllerMetrics(), asyncio.Event())

    async def _stand_for_election(self) -> None:
        common = self._options.common
        candidacy = Candidacy(
            common.kubeconfig,
            common.namespace,
            LEASE,
            self._identity,
            Durations.for_lease(self._options.lease_seconds),
        )
        self._metrics.leading.labels(LEASE).set(0)
        await Leadership(candidacy, self._on_election).run(self._lead)

    async def _lead(self, term: Term) -> None:
        client = self._client.fenced(term.fence)
        metrics = ControllerMetrics()
        metrics.leading.labels(LEASE).set(1)
        try:
            await self._serve(client, metrics, term.ended)
        finally:
            await client.close()

    async def _serve(
        self, client: KubeClient, metrics: ControllerMetrics, stop: asyncio.Event
    ) -> None:
        self._app = App(self._options, client, self._log, metrics)
        try:
            await self._app.run(stop)
        finally:
            self._app = None

    # Metrics and probes of the HTTP port

    def _collect(self) -> Render:
        return self._metrics.render if self._app is None else self._app.collect()

    def _live(self) -> tuple[Check, ...]:
        return self._app.live() if self._app is not None else (Check("loop", ok=True),)

    def _ready(self) -> tuple[Check, ...]:
        """Return the readiness checks. A standby is ready once it could take over the Lease."""
        if self._app is not None:
            return self._app.ready()
        return (Check("election", self._has_seen_lease, "no lease was read or written yet"),)

    # Reports

    def _on_election(self, event: ElectionEvent) -> None:
        log = self._log.bind(lease=f"{self._options.common.namespace}/{LEASE}")
        match event:
            case Gained():
                log.info("leading from now on", event="leaderElected", identity=self._identity)
            case LeadershipLost(reason):
                log.warn("leading no longer", event="leaderLost", reason=reason)
            case Follow(holder):
                self._has_seen_lease = True
                log.info("another replica leads", event="newLeader", leader=holder)
            case Unreachable(error):
                log.error("cannot take part in the election", op="leaderElection", error=str(error))
            case _:
                assert_never(event)

    def _on_httpd_error(self, error: OSError) -> None:
        self._log.error("cannot listen and serve", op="listenAndServe", err=str(error))

    def _on_webhook_error(self, error: Exception) -> None:
        self._log.error("webhook does not work", op="webhook", error=str(error))
