"""Simulation of a controller: its core, started from a snapshot. Short: it adds only the order.

The webhook and the diagnostic commands use it, so that they answer as the controller does.
"""

from __future__ import annotations

from controller.core import Controller
from controller.effects import Effect
from controller.orphaned_addresses import OrphanPolicy
from metallb_py.kube.configmap import Update
from metallb_py.kube.snapshot import Snapshot


def simulate(
    snapshot: Snapshot, load_balancer_class: str, policy: OrphanPolicy = OrphanPolicy.DRAIN
) -> Controller:
    """Return the core of a controller that started from a snapshot, after all its decisions."""
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
    """Apply a read configuration to the core, as the controller does; return the effects."""
    latest = update.latest.config if update.latest else None
    last_good = update.last_good.config if update.last_good else None
    if latest is not None:
        return core.config_changed(latest, update.draining, last_good)
    effects = core.config_changed(last_good, update.draining) if last_good else ()
    core.config_invalid()
    return effects
