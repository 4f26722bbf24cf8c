"""Passwords of BGP peers from Secrets: those in force, and the log and metric of missing ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metallb_py.kube.client import KubeClient
from metallb_py.model.config import Config
from metallb_py.model.peers import SecretKey
from metallb_py.runtime.log import Logger
from speaker.bgp.io.secrets import PERIOD, SecretFollower
from speaker.bgp.passwords import (
    Outcome,
    Password,
    PasswordProblem,
    needed,
    read_password,
    resolve_passwords,
)
from speaker.metrics import PasswordMetrics, SpeakerMetrics


class Passwords:
    """Follows the Secrets and fills passwords in.

    ``on_change`` is called when ``resolve_passwords`` may return a different configuration.
    """

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        log: Logger,
        metrics: SpeakerMetrics,
        on_change: Callable[[], None],
        period: float = PERIOD,
    ) -> None:
        self._namespace = namespace
        self._log = log
        self._metrics = PasswordMetrics(metrics)
        self._on_change = on_change
        self._passwords: dict[SecretKey, Password] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._reported: frozenset[PasswordProblem] = frozenset()
        self._follower = SecretFollower(client, namespace, self._on_read, period)

    def resolve_passwords(self, config: Config, node_labels: Mapping[str, str]) -> Config:
        """Return the configuration with passwords, without the peers that wait for theirs."""
        secrets = needed(config, node_labels)
        names = {secret.name for secret in secrets}
        self._outcomes = {name: self._outcomes[name] for name in names & self._outcomes.keys()}
        self._passwords = {
            secret: self._read(secret) for secret in secrets if secret.name in self._outcomes
        }
        self._follower.follow(names)
        filled = resolve_passwords(config, node_labels, self._passwords)
        self._report(filled.problems)
        return filled.config

    async def run(self) -> None:
        """Follow the Secrets until cancelled."""
        await self._follower.run()

    def _read(self, secret: SecretKey) -> Password:
        before = self._passwords.get(secret, Password())
        return read_password(before, secret.key, self._outcomes[secret.name])

    def _on_read(self, name: str, outcome: Outcome) -> None:
        self._outcomes[name] = outcome
        self._on_change()

    def _report(self, problems: tuple[PasswordProblem, ...]) -> None:
        for problem in problems:
            if problem not in self._reported:
                self._log_problem(problem)
        self._metrics.show_waiting({problem.peer for problem in problems if problem.waits})
        self._reported = frozenset(problems)

    def _log_problem(self, problem: PasswordProblem) -> None:
        consequence = (
            "BGP peer waits for its password"
            if problem.waits
            else "BGP peer keeps the password that it had"
        )
        self._log.error(
            consequence,
            event="passwordMissing",
            peer=problem.peer,
            secret=f"{self._namespace}/{problem.where.name}",
            key=problem.where.key,
            error=problem.problem,
        )
