"""Peers' passwords from Secrets: what is used, and the log and metric of what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metallb_py.kube.client import KubeClient
from metallb_py.model.config import Config, SecretKey
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import PasswordMetrics, SpeakerMetrics
from speaker.bgp.io.secrets import PERIOD, SecretFollower
from speaker.bgp.passwords import Outcome, Password, Trouble, fill_in, needed, read_password


class Passwords:
    """Knows the passwords. ``on_change`` is called when ``fill_in`` would return something new."""

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
        self._told: frozenset[Trouble] = frozenset()
        self._follower = SecretFollower(client, namespace, self._on_read, period)

    def fill_in(self, config: Config, node_labels: Mapping[str, str]) -> Config:
        """Return the configuration with passwords, without the peers that wait for theirs."""
        places = needed(config, node_labels)
        names = {where.name for where in places}
        self._outcomes = {name: self._outcomes[name] for name in names & self._outcomes.keys()}
        self._passwords = {
            where: self._known(where) for where in places if where.name in self._outcomes
        }
        self._follower.follow(names)
        filled = fill_in(config, node_labels, self._passwords)
        self._tell(filled.troubles)
        return filled.config

    async def run(self) -> None:
        """Follow the Secrets until cancelled."""
        await self._follower.run()

    def _known(self, where: SecretKey) -> Password:
        before = self._passwords.get(where, Password())
        return read_password(before, where.key, self._outcomes[where.name])

    def _on_read(self, name: str, outcome: Outcome) -> None:
        self._outcomes[name] = outcome
        self._on_change()

    def _tell(self, troubles: tuple[Trouble, ...]) -> None:
        for trouble in troubles:
            if trouble not in self._told:
                self._log_trouble(trouble)
        self._metrics.show_waiting({trouble.peer for trouble in troubles if trouble.waits})
        self._told = frozenset(troubles)

    def _log_trouble(self, trouble: Trouble) -> None:
        consequence = (
            "BGP peer waits for its password"
            if trouble.waits
            else "BGP peer keeps the password that it had"
        )
        self._log.error(
            consequence,
            event="passwordMissing",
            peer=trouble.peer,
            secret=f"{self._namespace}/{trouble.where.name}",
            key=trouble.where.key,
            error=trouble.problem,
        )
