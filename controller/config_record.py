"""Records of the configuration: its state, in objects of its own, and its status, as annotation."""

from __future__ import annotations

from collections.abc import Coroutine

from controller.drivers.config_state import (
    StateEvent,
    StateNotStored,
    StateStored,
    StateWriter,
    StatusAnnotation,
)
from controller.metrics import ControllerMetrics
from metallb_py.config.draining import encode_pools
from metallb_py.errors import ApiError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.config_state import StateNames, Stored
from metallb_py.kube.config_status import ConfigStatus
from metallb_py.kube.configmap import DATA_KEY, STATUS, ParsedConfig
from metallb_py.kube.events import Event, EventRecorder, EventType, ObjectReference
from metallb_py.kube.objects import ConfigMap
from metallb_py.model.config import Config, Pool
from metallb_py.runtime.log import Logger


class ConfigRecord:
    """Stores the text in force and the draining pools; annotates the operator's ConfigMap.

    Nothing is stored before the core has reclaimed the services' addresses: until then the state
    that an earlier controller stored may have the only pools for some of them.
    """

    def __init__(
        self,
        client: KubeClient,
        names: StateNames,
        log: Logger,
        metrics: ControllerMetrics,
        events: EventRecorder,
    ) -> None:
        self._names = names
        self._log = log.bind(configmap=names.key)
        self._metrics = metrics
        self._events = events
        self._state = StateWriter(client, names, self._on_state)
        path = f"/api/v1/namespaces/{names.namespace}/configmaps/{names.config}"
        self._status = StatusAnnotation(client, path, self._on_status_error)
        self._configmap: ConfigMap | None = None
        self._started = False
        self._stored = False
        self._storage_error = ""
        self._in_force: ParsedConfig | None = None
        self._latest: ParsedConfig | None = None
        self._refusal: tuple[str, ...] = ()
        self._draining: tuple[Pool, ...] = ()

    def tasks(self) -> dict[str, Coroutine[None, None, None]]:
        """Return the tasks to run as long as the controller runs, by name."""
        return {"config status": self._status.run(), "config state": self._state.run()}

    def configmap_changed(self, item: ConfigMap | None) -> None:
        """Apply the operator's ConfigMap: new, changed or deleted (None)."""
        earlier, self._configmap = self._configmap, item
        if item is not None and (earlier is None or _lost_status(earlier, item)):
            self._status.show_again()
            self._show()
        if item is not None and self._stored:
            self._status.drop_legacy(item)

    def state_changed(self, name: str, item: ConfigMap | None) -> None:
        """Apply a changed or deleted (None) object of the stored state."""
        self._state.observed(name, item)

    def started(self) -> None:
        """Begin to store the state: the services' addresses were reclaimed."""
        self._started = True
        self._record()

    def read(self, latest: ParsedConfig | None) -> None:
        """Record the latest text; None without a ConfigMap. ``applied`` or ``refused`` follows."""
        self._latest, self._refusal = latest, ()

    def applied(self, parsed: ParsedConfig | None) -> None:
        """Record the text in force."""
        self._in_force, self._refusal = parsed, ()
        self._record()

    def refused(self, reasons: tuple[str, ...] = ()) -> None:
        """Record that the latest text is not in force; ``reasons`` are set if it is valid."""
        self._refusal = reasons
        self._record()

    def empty(self) -> None:
        """Warn about an empty latest text: it is valid, but most likely a mistake."""
        message = (
            f'ConfigMap "{self._names.key}" has no text under the key "{DATA_KEY}": that is a '
            "configuration without pools, nothing is given out (want address-pools)"
        )
        self._log.warn(message, event="configEmpty", op="setConfig")
        self._warn("configEmpty", message)

    def draining_changed(self, pools: tuple[Pool, ...]) -> None:
        """Record the pools that drain now."""
        self._draining = pools
        self._record()

    def _record(self) -> None:
        """Store the state, then show the status: a text shown as applied must survive a restart."""
        in_force = self._in_force
        if in_force is None or (self._started and not self._state.write(self._to_store(in_force))):
            self._show()

    def _to_store(self, in_force: ParsedConfig) -> Stored | None:
        draining = encode_pools(self._draining)
        refused = self._latest.version if self._latest and self._refusal else ""
        if in_force.config == Config() and not draining and not refused:
            return None  # equal to the state of a controller that finds none stored
        return Stored(in_force.text, draining, refused)

    def _show(self) -> None:
        if self._configmap is not None and self._latest is not None:
            status = ConfigStatus(self._in_force, self._latest, self._refusal, self._storage_error)
            self._status.show(status, self._configmap)

    def _on_state(self, event: StateEvent) -> None:
        match event:
            case StateStored(repaired):
                self._stored, self._storage_error = True, ""
                self._metrics.state_write_failing.set(0)
                if repaired:
                    self._log.warn(
                        "the stored state of the configuration was changed by another writer, "
                        "stored again",
                        event="configStateRepaired",
                    )
                if self._configmap is not None:
                    self._status.drop_legacy(self._configmap)
            case StateNotStored(error) if error == self._storage_error:
                pass  # another state, refused for the same reason
            case StateNotStored(error):
                self._storage_error = error
                self._metrics.state_write_failing.set(1)
                message = (
                    "the last good configuration and the draining pools can't be stored: after a "
                    f"restart only a valid text is used: {error}"
                )
                self._log.error(message, event="configStateNotStored", op="configState")
                self._warn("configStateNotStored", message)
        self._show()

    def _warn(self, reason: str, message: str) -> None:
        if self._configmap is not None:
            about = ObjectReference.to("ConfigMap", self._configmap)
            self._events.record(Event(about, EventType.WARNING, reason, message))

    def _on_status_error(self, error: ApiError) -> None:
        self._log.error("failed to write config status", op="configStatus", error=str(error))


def _lost_status(earlier: ConfigMap, item: ConfigMap) -> bool:
    """Whether the object was recreated under its name, or lost the status annotation."""
    if earlier.metadata.uid != item.metadata.uid:
        return True
    return bool(earlier.metadata.annotation(STATUS)) and not item.metadata.annotation(STATUS)
