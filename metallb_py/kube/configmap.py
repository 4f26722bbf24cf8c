"""Configuration of the daemons: the operator's ConfigMap, and the state stored beside it.

The text under the key ``config`` is the operator's. If it is valid, it alone is in force. If it is
invalid or missing, the last good text is in force, which the controller stored (``config_state``).
Pools that left the configuration while services hold their addresses are stored there, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import PurePath
from traceback import extract_tb

from metallb_py.config.compile.read_config import read_config
from metallb_py.config.draining import decode_pools, drain
from metallb_py.config.problems import Budget, ConfigError, Problem, one_line
from metallb_py.kube.annotation_names import PREFIX
from metallb_py.kube.config_state import StateError, StateNames, Stored, decode
from metallb_py.kube.objects import ConfigMap, Resource
from metallb_py.model.config import Config, Pool
from metallb_py.printable import listed

DATA_KEY = "config"
STATUS = f"{PREFIX}/config-status"
# Annotations with the state of earlier versions. Read if no state is stored yet, then removed.
LAST_GOOD = f"{PREFIX}/last-good-config"
DRAINING = f"{PREFIX}/draining-pools"
_MAX_KEYS = 5


def config_resource(namespace: str, name: str) -> Resource[ConfigMap]:
    """Return the collection of just this ConfigMap, for a list and a watch."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    return Resource(path, ConfigMap, {"fieldSelector": f"metadata.name={name}"})


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """A compiled text: its configuration, or its problems."""

    text: str
    config: Config | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def version(self) -> str:
        """Short hash of the text, the same on every node."""
        return version_of(self.text)


def version_of(text: str) -> str:
    """Return a short hash of a text, the same on every node."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def read(text: str, budget: Budget | None = None) -> ParsedConfig:
    """Compile a text. A missing one counts as an empty configuration (MetalLB).

    This is the one place where an exception of the compiler, which is a bug of ours, becomes a
    problem of the text that caused it, so that a daemon continues with the configuration it has.
    """
    try:
        return ParsedConfig(text, read_config(text, budget=budget))
    except ConfigError as error:
        return ParsedConfig(text, problems=error.problems)
    except Exception as error:
        return ParsedConfig(text, problems=(_internal(error),))


def _internal(error: Exception) -> Problem:
    # Never str(error): it may quote the text, and the text may contain a password.
    frame = extract_tb(error.__traceback__)[-1]
    place = f"{PurePath(frame.filename).name}:{frame.lineno}"
    message = f"internal error, please report it: {type(error).__name__} in {place}"
    return Problem(1, "", message)


def text_of(item: ConfigMap) -> str | Problem:
    """Return the operator's text, or the problem because of which there is none.

    A ConfigMap without any data is an empty configuration, as with MetalLB. Data with only other
    keys is a mistake: as an empty configuration it would remove every pool.
    """
    data = item.data or {}
    if item.unread and DATA_KEY not in data:  # what can't be decoded may not be empty
        return Problem(1, "data", f'can\'t decode it: want a text under the key "{DATA_KEY}"')
    if DATA_KEY in data or not (data or item.binary_data):
        return data.get(DATA_KEY, "")
    keys = sorted({*data, *(item.binary_data or {})})
    found = listed([f'"{one_line(key)}"' for key in keys], _MAX_KEYS)
    where = " (in binaryData)" if DATA_KEY in keys else ""
    return Problem(1, "data", f'found the keys {found}{where}: want the key "{DATA_KEY}"')


def read_item(item: ConfigMap, budget: Budget | None = None) -> ParsedConfig:
    """Compile the text of a ConfigMap."""
    text = text_of(item)
    return ParsedConfig("", problems=(text,)) if isinstance(text, Problem) else read(text, budget)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of a configuration, as read from the API server.

    ``item`` is the operator's ConfigMap, None where there is none. ``with_last_good``: no
    configuration is in force yet, so the stored one may be put in force.
    """

    item: ConfigMap | None
    stored: Stored | None
    with_last_good: bool = True

    @property
    def content(self) -> tuple[object, ...]:
        """Values that the configuration depends on, for comparison."""
        item = self.item
        data = (item.data, sorted(item.binary_data or ())) if item else None
        return (data, self.stored)

    def read(self, budget: Budget | None = None) -> Update:
        """Compile the texts. Takes long for large ones; has no effect but to spend ``budget``."""
        latest = read_item(self.item, budget) if self.item else None
        stored = self.stored
        if stored is None:
            return Update(latest)
        refused = latest is not None and stored.refused == latest.version
        last_good = None
        wanted = self.with_last_good or refused
        if wanted and stored.text is not None and not _is(latest, stored.text):
            if budget is not None:
                budget.renew()
            last_good = read(stored.text, budget)
        try:
            draining, problem = decode_pools(stored.draining), ""
        except ConfigError as error:
            draining, problem = (), str(error)
        usable = last_good if last_good and last_good.config is not None else None
        if last_good is not None and usable is None:
            problem = "the stored text is not a valid configuration"
        return Update(latest, usable, draining, refused and usable is not None, problem)


def _is(latest: ParsedConfig | None, text: str) -> bool:
    return latest is not None and latest.text == text and latest.config is not None


@dataclass(frozen=True, slots=True)
class Update:
    """Compiled inputs: the operator's text, and the state stored beside it."""

    latest: ParsedConfig | None
    """The operator's text; None where there is no ConfigMap."""
    last_good: ParsedConfig | None = None
    """The stored text, where it is needed; it is valid, and differs from ``latest``."""
    draining: tuple[Pool, ...] = ()
    """Stored pools that left the configuration while services hold their addresses."""
    refused: bool = False
    """Whether the controller refused ``latest`` and has ``last_good`` in force."""
    problem: str = ""
    """Reason why the stored state can't be used; empty if it can."""

    def in_force(self) -> Config | None:
        """Return the configuration of speakers, draining pools included; None if none is valid.

        Services may hold addresses that only the other one of the two texts has a pool for. Such a
        pool counts for them, as a draining one, until the controller stores its decision.
        """
        latest = self.latest.config if self.latest else None
        last_good = self.last_good.config if self.last_good else None
        first, second = (last_good, latest) if self.refused else (latest, last_good)
        if first is None:
            first, second = second, None
        if first is None:
            return None
        pools = self.draining
        if second is not None:
            pools = drain(second.pools_not_in(first), pools)
        return replace(first, pools=(*first.pools, *pools))


class ConfigReader:
    """Follows the operator's ConfigMap and the stored state; returns inputs that have changed.

    The controller follows the state until a configuration is in force; from then on it writes the
    state itself. Speakers (``follow_state``) continue to follow it.
    """

    __slots__ = (
        "_follow_state",
        "_has_config",
        "_item",
        "_names",
        "_objects",
        "_seen",
        "_stored",
        "_synced",
    )

    def __init__(self, namespace: str, name: str, *, follow_state: bool = False) -> None:
        self._names = StateNames(namespace, name)
        self._follow_state = follow_state
        self._item: ConfigMap | None = None
        self._objects: dict[str, ConfigMap] = {}
        self._stored: Stored | None = None
        self._synced: set[str] = set()
        self._seen: Inputs | None = None
        self._has_config = False

    @property
    def item(self) -> ConfigMap | None:
        """The operator's ConfigMap, None where there is none."""
        return self._item

    def configmap_changed(self, item: ConfigMap | None) -> None:
        """Apply the operator's ConfigMap as added or changed; None if it was deleted."""
        self._item = item

    def state_changed(self, name: str, item: ConfigMap | None) -> str:
        """Apply one object of the stored state as added or changed; None if it was deleted.

        Return the reason why the stored state can't be used; empty if it can.
        """
        if item is None:
            self._objects.pop(name, None)
        elif name in self._names.all:
            self._objects[name] = item
        try:
            self._stored = decode(self._names, self._objects)
        except StateError as error:
            return str(error)  # the state that was decoded last stays
        return ""

    def configmap_synced(self) -> None:
        """Record that the first list of the operator's ConfigMap is complete."""
        self._synced.add("configmap")

    def state_synced(self) -> None:
        """Record that the first list of the stored state is complete."""
        self._synced.add("state")

    def mark_in_force(self) -> None:
        """Record that a configuration is in force: the stored one is no longer put in force."""
        self._has_config = True
        if self._seen is not None:
            self._seen = self._relevant(self._seen)

    def next(self) -> Inputs | None:
        """Return the inputs to compile; None if they are unchanged, or not all synced yet."""
        if len(self._synced) < 2:
            return None
        stored = self._stored or legacy_state(self._item)
        inputs = self._relevant(Inputs(self._item, stored, not self._has_config))
        if self._seen is not None and inputs.content == self._seen.content:
            return None
        self._seen = inputs
        return inputs

    def _relevant(self, inputs: Inputs) -> Inputs:
        """Omit from the state what has no effect on a daemon that has a configuration."""
        stored = inputs.stored
        if not self._has_config or stored is None:
            return inputs
        if not self._follow_state:
            return replace(inputs, stored=None)
        text = text_of(inputs.item) if inputs.item else ""
        if isinstance(text, str) and stored.refused == version_of(text):
            return inputs
        return replace(inputs, stored=Stored(None, stored.draining) if stored.draining else None)


def legacy_state(item: ConfigMap | None) -> Stored | None:
    """Return the state that an earlier version kept in annotations; None where there is none."""
    annotations = (item.metadata.annotations or {}) if item else {}
    if LAST_GOOD not in annotations and DRAINING not in annotations:
        return None
    return Stored(annotations.get(LAST_GOOD), annotations.get(DRAINING, ""))
