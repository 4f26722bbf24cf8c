"""Point-in-time snapshot of the controller's inputs.

Apart from ``listing``, which reads one, so that the controller's pure code can import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.kube.config_state import Stored
from metallb_py.kube.configmap import Inputs, legacy_state
from metallb_py.kube.objects import ConfigMap, Labels, Service


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Inputs of the controller at one time.

    All Services, the labels of all Namespaces by name, the ConfigMap if there is one, and the state
    that the controller stored beside it.
    """

    services: tuple[Service, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    configmap: ConfigMap | None = None
    stored: Stored | None = None

    @property
    def inputs(self) -> Inputs:
        """Inputs of the configuration for a daemon that starts now."""
        return Inputs(self.configmap, self.stored or legacy_state(self.configmap))
