"""The ConfigMap that carries the configuration, and what the controller writes back onto it.

The text under the key ``config`` is the operator's. Three annotations are the controller's:
``config-status`` says which text is in force and what is wrong with the latest one,
``last-good-config`` keeps the text in force, so that a daemon that starts while the operator's text
is bad starts from there, and ``draining-pools`` keeps the pools that left the configuration while
services still hold their addresses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import PurePath
from traceback import extract_tb

from metallb_py.config.budget import Budget
from metallb_py.config.compile import read_config
from metallb_py.config.draining import decode_pools, encode_pools
from metallb_py.config.model import Config, Pool
from metallb_py.config.problems import ConfigError, Problem
from metallb_py.kube.objects import ConfigMap
from metallb_py.kube.resource import Resource

DATA_KEY = "config"
LAST_GOOD = "metallb.universe.tf/last-good-config"
STATUS = "metallb.universe.tf/config-status"
DRAINING = "metallb.universe.tf/draining-pools"


def config_resource(namespace: str, name: str) -> Resource[ConfigMap]:
    """Return the resource that holds this one ConfigMap."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    return Resource(path, ConfigMap, {"fieldSelector": f"metadata.name={name}"})


@dataclass(frozen=True, slots=True)
class Reading:
    """A text that was read: a configuration, or what is wrong with it."""

    text: str
    config: Config | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def version(self) -> str:
        """A short name for the text, the same on every node."""
        return sha256(self.text.encode()).hexdigest()[:12]


def read(text: str, budget: Budget | None = None) -> Reading:
    """Read a text. A missing one counts as an empty configuration (MetalLB).

    This is the one place where an exception of the compiler, which is a bug of ours, becomes a
    problem of the text that caused it: a daemon goes on with the configuration that it has.
    """
    try:
        return Reading(text, read_config(text, budget=budget))
    except ConfigError as error:
        return Reading(text, problems=error.problems)
    except Exception as error:
        return Reading(text, problems=(_internal(error),))


def _internal(error: Exception) -> Problem:
    # Never str(error): it may quote the text, and the text may hold a password.
    frame = extract_tb(error.__traceback__)[-1]
    place = f"{PurePath(frame.filename).name}:{frame.lineno}"
    message = f"internal error, please report it: {type(error).__name__} in {place}"
    return Problem(1, "", message)


class ConfigReader:
    """Reads a ConfigMap as it changes, and only what is new in it.

    With ``with_draining`` the draining pools become a part of every configuration that is read,
    which is how speakers know them.
    """

    __slots__ = ("_seen", "_with_draining")

    def __init__(self, *, with_draining: bool = False) -> None:
        self._with_draining = with_draining
        self._seen: tuple[str, str] | None = None

    def changed(self, item: ConfigMap, budget: Budget | None = None) -> tuple[Reading, ...]:
        """Return what is to be dealt with, in this order; nothing where nothing is new.

        At first that is the last good text, where it differs from the operator's: a start goes
        through the same steps as if the daemon had been running all along.
        """
        text = (item.data or {}).get(DATA_KEY, "")
        seen = (text, item.metadata.annotation(DRAINING) if self._with_draining else "")
        if seen == self._seen:
            return ()
        first, self._seen = self._seen is None, seen
        readings = [read(text, budget)]
        last_good = (item.metadata.annotations or {}).get(LAST_GOOD)
        if first and last_good not in (None, text):
            earlier = read(last_good or "", budget)
            readings = [earlier, *readings] if earlier.config is not None else readings
        if self._with_draining:
            pools = draining_pools(item)
            readings = [_with_pools(reading, pools) for reading in readings]
        return tuple(readings)


def draining_pools(item: ConfigMap) -> tuple[Pool, ...]:
    """Return the pools that drain; none where the annotation is not as the controller writes it."""
    try:
        return decode_pools(item.metadata.annotation(DRAINING))
    except ConfigError:
        return ()


def config_in_force(item: ConfigMap) -> Config:
    """Return what the daemons work by, draining pools included.

    Where the controller says nothing yet, that is the operator's text, if it is valid.
    """
    text = (item.data or {}).get(DATA_KEY, "")
    reading = read((item.metadata.annotations or {}).get(LAST_GOOD, text))
    return _with_pools(reading, draining_pools(item)).config or Config()


def _with_pools(reading: Reading, pools: tuple[Pool, ...]) -> Reading:
    config = reading.config
    if config is None:
        return reading
    return replace(reading, config=replace(config, pools=(*config.pools, *pools)))


@dataclass(frozen=True, slots=True)
class ConfigState:
    """Which text is in force, which is the latest, and why a valid latest one is not in force.

    ``draining`` are the pools that left the configuration and are still in use.
    """

    in_force: Reading | None
    latest: Reading
    refusal: tuple[str, ...] = ()
    draining: tuple[Pool, ...] = ()

    def annotations(self, time: str) -> dict[str, str | None]:
        """Return how the ConfigMap is to be annotated; ``time`` is when this was found."""
        annotations: dict[str, str | None] = {
            STATUS: self._status(time),
            DRAINING: encode_pools(self.draining) or None,
        }
        if self.in_force is not None:
            annotations[LAST_GOOD] = self.in_force.text
        return annotations

    def _status(self, time: str) -> str:
        problems = [*map(str, self.latest.problems), *self.refusal]
        in_force = self.in_force
        if problems:
            state = "refused"
        else:
            state = "applied" if in_force and in_force.text == self.latest.text else "pending"
        status = {
            "state": state,
            "inForce": in_force.version if in_force else None,
            "latest": self.latest.version,
            "problems": problems,
            "time": time,
        }
        return json.dumps(status, ensure_ascii=False)
