"""What the controller decides from, as it stood at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.kube.objects import ConfigMap, Labels, Service


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All services, the labels of all namespaces by name, and the ConfigMap if there is one."""

    services: tuple[Service, ...] = ()
    namespaces: Mapping[str, Labels] = field(default_factory=dict)
    configmap: ConfigMap | None = None
