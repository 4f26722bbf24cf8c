"""What is the same in both daemons: start, end, and what is told of the configuration."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from metallb_py.errors import ApiError, StartupError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.reflector import Reachable, Unreachable
from metallb_py.runtime.flags import CommonOptions
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import ClientMetrics
from metallb_py.runtime.tasks import describe


async def run_daemon(
    name: str,
    options: CommonOptions,
    serve: Callable[[KubeClient, Logger], Awaitable[None]],
) -> int:
    """Connect, serve, and close; return the exit status: 1 where that failed."""
    log = Logger(options.log_level)
    release = version("metallb-py")
    python = sys.version.split()[0]
    log.info(f"MetalLB {name} starting version {release}", version=release, python=python)
    try:
        client = await KubeClient.connect(options.kubeconfig)
    except ApiError as error:
        log.error("failed to create k8s client", op="startup", error=str(error))
        return 1
    try:
        await serve(client, log)
    except StartupError as error:
        why = {"error": str(error.__cause__)} if error.__cause__ else {}
        log.error(str(error), op="startup", **why)
        return 1
    except Exception as error:  # the root of every task: whatever it was, say it and end
        log.error(f"{name} failed", op="shutdown", error=describe(error))
        return 1
    finally:
        await client.close()
    log.info("done", op="shutdown")
    return 0


class ConfigReporter:
    """Tells, in logs and metrics, what became of the configuration."""

    def __init__(self, log: Logger, metrics: ClientMetrics, key: str) -> None:
        self._log = log.bind(configmap=key)
        self._metrics = metrics

    def loaded(self) -> None:
        """A configuration is in force."""
        self._metrics.config_loaded.set(1)
        self._metrics.config_stale.set(0)
        self._log.info("config (re)loaded", event="configLoaded")

    def stale(self, error: str) -> None:
        """The latest one is refused; an earlier one, or none, stays in force."""
        self._metrics.config_stale.set(1)
        self._log.error(
            "config (re)load failed, config marked stale", event="configStale", error=error
        )

    def absent(self) -> None:
        """There is no valid configuration to begin with."""
        self._log.warn(
            "no valid configuration yet, nothing is given out or announced before there is one",
            op="setConfig",
        )

    def missing(self) -> None:
        """The ConfigMap was deleted; what it said stays in force."""
        self._metrics.config_stale.set(1)
        self._log.error("configuration is missing, keeping the last one", op="setConfig")

    def api_server(self, event: Unreachable | Reachable, resource: str) -> None:
        """The API server went away, or came back."""
        if isinstance(event, Unreachable):
            self._log.error(
                "API server does not answer, keeping what is known",
                op="watch",
                resource=resource,
                error=str(event.error),
            )
        else:
            self._log.info("API server answers again", op="watch", resource=resource)
