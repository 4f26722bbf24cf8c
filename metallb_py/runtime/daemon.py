"""Common parts of both daemons: start, end, and reports on the configuration."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from metallb_py.errors import ApiError, StartupError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.reflector import Reachable, Unreachable
from metallb_py.rate_limit import Rate, RateLimiter
from metallb_py.runtime.flags import CommonOptions
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import ClientMetrics
from metallb_py.runtime.tasks import describe, log_library_warnings, log_loop_errors


async def run_daemon(
    name: str,
    options: CommonOptions,
    serve: Callable[[KubeClient, Logger], Awaitable[None]],
) -> int:
    """Connect, serve, and close; return the exit status: 1 on failure."""
    log = Logger(options.log_level)
    log_loop_errors(asyncio.get_running_loop(), log)
    log_library_warnings(log)
    release = version("metallb-py")
    python = sys.version.split()[0]
    log.info(f"MetalLB {name} starting version {release}", version=release, python=python)

    def on_problem(problem: str) -> None:
        log.error("can't read the service account token", op="credentials", error=problem)

    try:
        client = await KubeClient.connect(options.kubeconfig, on_problem)
    except ApiError as error:
        log.error("failed to create k8s client", op="startup", error=str(error))
        return 1
    try:
        await serve(client, log)
    except StartupError as error:
        why = {"error": str(error.__cause__)} if error.__cause__ else {}
        log.error(str(error), op="startup", **why)
        return 1
    except Exception as error:  # the root of every task: report any failure and end
        log.error(f"{name} failed", op="shutdown", error=describe(error))
        return 1
    finally:
        await client.close()
    log.info("done", op="shutdown")
    return 0


class ConfigReporter:
    """Reports on the configuration, in logs and metrics."""

    def __init__(self, log: Logger, metrics: ClientMetrics, key: str) -> None:
        self._log = log.bind(configmap=key)
        self._metrics = metrics
        self._key = key
        self._state_problems = RateLimiter(Rate(1, 1 / 300), Rate(5, 1 / 60))

    def loaded(self) -> None:
        """Report that a configuration is in force."""
        self._metrics.config_loaded.set(1)
        self._metrics.config_stale.set(0)
        self._log.info("config (re)loaded", event="configLoaded")

    def stale(self, error: str) -> None:
        """Report that the latest configuration is refused; an earlier one, or none, is in force."""
        self._metrics.config_stale.set(1)
        self._log.error(
            "config (re)load failed, config marked stale", event="configStale", error=error
        )

    def missing(self, in_force: bool) -> None:
        """Report that there is no ConfigMap. ``in_force``: an earlier one's text stays in force."""
        self._metrics.config_stale.set(1 if in_force else 0)
        name = self._key.partition("/")[2]
        if in_force:
            self._log.error(
                f'ConfigMap "{self._key}" not found: its last valid configuration stays in force',
                op="setConfig",
                event="configMissing",
            )
            return
        self._log.warn(
            "no valid configuration yet, nothing is allocated or announced before there is one: "
            f'ConfigMap "{self._key}" not found: want one with the name "{name}" (--config) in the '
            "daemon's namespace (--namespace)",
            op="setConfig",
            event="configMissing",
        )

    def state(self, problem: str) -> None:
        """Report, at a limited rate, why the stored state can't be used; empty: it can be."""
        if not problem:
            return
        self._metrics.state_unusable.inc()
        admitted = self._state_problems.admit(problem, time.monotonic())
        if admitted is not None:
            self._log.error(
                "the stored state of the configuration is ignored",
                event="configStateUnusable",
                op="configState",
                error=problem,
                suppressed=admitted.suppressed,
            )

    def api_server(self, event: Unreachable | Reachable, resource: str) -> None:
        """Report that the API server became unreachable, or answers again."""
        if isinstance(event, Unreachable):
            self._log.error(
                "API server does not answer, keeping the last known objects",
                op="watch",
                resource=resource,
                error=str(event.error),
            )
        else:
            self._log.info("API server answers again", op="watch", resource=resource)
