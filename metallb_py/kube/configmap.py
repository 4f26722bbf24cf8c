"""The ConfigMap that carries the configuration, and what the controller writes back onto it.

The text under the key ``config`` is the operator's. Two annotations are ours: ``config-status``
says which text is in force and what is wrong with the latest one, and ``last-good-config`` keeps
the text that is in force, so that a daemon that starts while the operator's text is bad starts
from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from metallb_py.config.compile import read_config
from metallb_py.config.model import Config
from metallb_py.config.problems import ConfigError, Problem
from metallb_py.kube.objects import ConfigMap
from metallb_py.kube.reflector import Resource

DATA_KEY = "config"
LAST_GOOD = "metallb.universe.tf/last-good-config"
STATUS = "metallb.universe.tf/config-status"


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


def read(text: str) -> Reading:
    """Read a text. A missing one counts as an empty configuration (MetalLB)."""
    try:
        return Reading(text, read_config(text))
    except ConfigError as error:
        return Reading(text, problems=error.problems)


class ConfigReader:
    """Reads a ConfigMap as it changes, and only what is new in it."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        self._text: str | None = None

    def changed(self, item: ConfigMap) -> tuple[Reading, ...]:
        """Return what is to be dealt with, in this order; nothing where the text is the old one.

        At first that is the last good text, where it differs from the operator's: a start goes
        through the same steps as if the daemon had been running all along.
        """
        text = (item.data or {}).get(DATA_KEY, "")
        if text == self._text:
            return ()
        first, self._text = self._text is None, text
        readings = (read(text),)
        last_good = (item.metadata.annotations or {}).get(LAST_GOOD)
        if not first or last_good in (None, text):
            return readings
        earlier = read(last_good or "")
        return (earlier, *readings) if earlier.config is not None else readings


def status_annotation(
    in_force: Reading | None, latest: Reading, refusal: tuple[str, ...], time: str
) -> str:
    """Return the value of the annotation that tells the operator how things are.

    ``refusal`` says why a valid text is not in force; ``time`` is when this was found.
    """
    problems = [*map(str, latest.problems), *refusal]
    status = {
        "state": "refused" if problems else "applied",
        "inForce": in_force.version if in_force else None,
        "latest": latest.version,
        "problems": problems,
        "time": time,
    }
    return json.dumps(status, ensure_ascii=False)
