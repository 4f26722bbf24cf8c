"""What the controller decides from, as it stood at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.kube.config_state import Stored
from metallb_py.kube.configmap import Inputs, legacy_state
from metallb_py.kube.objects import ConfigMap, Labels, Service


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All services, the labels of all namespaces by name, the ConfigMap if there is one, and
    what the controller stored beside it."""

    services: tuple[Service, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    configmap: ConfigMap | None = None
    stored: Stored | None = None

    @property
    def inputs(self) -> Inputs:
        """What the configuration is made from by a daemon that starts now."""
        return Inputs(self.configmap, self.stored or legacy_state(self.configmap))
