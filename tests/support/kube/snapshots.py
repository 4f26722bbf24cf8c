"""Builder of snapshots of the controller's inputs."""

from __future__ import annotations

from metallb_py.kube.config_state import Stored
from metallb_py.kube.objects import ConfigMap, ObjectMeta, Service
from metallb_py.kube.snapshot import Snapshot


def snapshot(
    pools: str | None, *services: Service, last_good: str = "", draining: str = ""
) -> Snapshot:
    """Return a snapshot of these services and a ConfigMap of these pools; None for no ConfigMap."""
    meta = ObjectMeta("config", "metallb-system")
    text = f"address-pools: [{pools}]"
    configmap = None if pools is None else ConfigMap(metadata=meta, data={"config": text})
    stored = Stored(last_good or None, draining) if last_good or draining else None
    return Snapshot(services, {"default": {}}, configmap, stored)
