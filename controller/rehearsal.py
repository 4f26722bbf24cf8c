"""The controller's core, started from what stands in the API server: what would it do?

The webhook and the diagnostic commands ask this way, so that their answers are the controller's.
"""

from __future__ import annotations

from controller.core import Controller
from controller.orphans import OrphanPolicy
from metallb_py.kube.configmap import ConfigReader, draining_pools
from metallb_py.kube.snapshot import Snapshot


def rehearse(
    snapshot: Snapshot, load_balancer_class: str, policy: OrphanPolicy = OrphanPolicy.DRAIN
) -> Controller:
    """Return the core of a controller that starts with this, as it stands when it has settled."""
    core = Controller(load_balancer_class, policy)
    for name, labels in snapshot.namespaces.items():
        core.namespace_changed(name, labels)
    core.namespaces_synced()
    configmap = snapshot.configmap
    if configmap is not None:
        for reading in ConfigReader().changed(configmap):
            if reading.config is None:
                core.config_invalid()
            else:
                core.config_changed(reading.config, draining_pools(configmap))
    for service in snapshot.services:
        core.service_changed(service.key, service)
    core.services_synced()
    return core
