"""Clusters as they stand, in short."""

from __future__ import annotations

from metallb_py.kube.configmap import DRAINING, LAST_GOOD
from metallb_py.kube.objects import ConfigMap, ObjectMeta, Service
from metallb_py.kube.snapshot import Snapshot


def snapshot(
    pools: str | None, *services: Service, last_good: str = "", draining: str = ""
) -> Snapshot:
    """Make a cluster with these services and a ConfigMap of these pools; None for no ConfigMap."""
    annotations = {LAST_GOOD: last_good, DRAINING: draining}
    meta = ObjectMeta(
        "config", "metallb-system", annotations={k: v for k, v in annotations.items() if v}
    )
    text = f"address-pools: [{pools}]"
    configmap = None if pools is None else ConfigMap(metadata=meta, data={"config": text})
    return Snapshot(services, {"default": {}}, configmap)
