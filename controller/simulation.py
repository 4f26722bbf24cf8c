"""The controller's core, started from what stands in the API server: what would it do?

The webhook and the diagnostic commands ask this way, so that their answers are the controller's.
"""

from __future__ import annotations

from controller.core import Controller
from controller.effects import Effect
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.kube.configmap import Update
from metallb_py.kube.snapshot import Snapshot


def rehearse(
    snapshot: Snapshot, load_balancer_class: str, policy: OrphanPolicy = OrphanPolicy.DRAIN
) -> Controller:
    """Return the core of a controller that starts with this, as it stands when it has settled."""
    core = Controller(load_balancer_class, policy)
    for name, labels in snapshot.namespaces.items():
        core.namespace_changed(name, labels)
    core.namespaces_synced()
    configure(core, snapshot.inputs.read())
    for service in snapshot.services:
        core.service_changed(service.key, service)
    core.services_synced()
    return core


def configure(core: Controller, update: Update) -> tuple[Effect, ...]:
    """Have the core deal with what was read, as every controller does it."""
    latest = update.latest.config if update.latest else None
    last_good = update.last_good.config if update.last_good else None
    if latest is not None:
        return core.config_changed(latest, update.draining, last_good)
    effects = core.config_changed(last_good, update.draining) if last_good else ()
    core.config_invalid()
    return effects
