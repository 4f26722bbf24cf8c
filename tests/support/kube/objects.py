"""Builders of Kubernetes objects and model configurations."""

from __future__ import annotations

from ipaddress import ip_network

from controller.effects import POOL_ANNOTATION
from metallb_py.kube.objects import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from metallb_py.model.config import BgpAdvertisement, Config, Pool, Protocol
from metallb_py.model.pool_access import UNRESTRICTED, Tenancy
from metallb_py.model.selectors import LabelSelector, Operator, Requirement


def service(
    name: str = "web",
    *,
    ips: tuple[str, ...] = (),
    cluster_ips: tuple[str, ...] = ("10.96.0.10",),
    kind: str = "LoadBalancer",
    annotations: dict[str, str] | None = None,
    uid: str = "",
    created: str = "2026-01-01T00:00:00Z",
    version: str = "1",
    ports: tuple[ServicePort, ...] = (ServicePort(80),),
    pool: str = "",
    namespace: str = "default",
    labels: dict[str, str] | None = None,
    **spec: object,
) -> Service:
    """Return a Service ``<namespace>/<name>`` whose status has ``ips``, allocated from ``pool``."""
    if pool:
        annotations = {**(annotations or {}), POOL_ANNOTATION: pool}
    ingress = tuple(LoadBalancerIngress(ip=ip) for ip in ips)
    meta = ObjectMeta(
        name=name,
        namespace=namespace,
        labels=labels,
        uid=uid or f"uid-{name}",
        resource_version=version,
        creation_timestamp=created,
        annotations=annotations,
    )
    return Service(
        metadata=meta,
        spec=ServiceSpec(type=kind, cluster_ips=cluster_ips, ports=ports, **spec),  # type: ignore[arg-type]
        status=ServiceStatus(LoadBalancerStatus(ingress)),
    )


def pool(
    name: str,
    *cidrs: str,
    protocol: Protocol = Protocol.LAYER2,
    auto_assign: bool = True,
    avoid_buggy_ips: bool = False,
    tenancy: Tenancy = UNRESTRICTED,
    priority: int | None = None,
) -> Pool:
    """Return a pool."""
    advertisements = (BgpAdvertisement(),) if protocol is Protocol.BGP else ()
    networks = tuple(ip_network(cidr) for cidr in cidrs)
    return Pool(
        name,
        protocol,
        networks,
        avoid_buggy_ips,
        auto_assign,
        advertisements,
        tenancy=tenancy,
        priority=priority,
    )


def selector(**labels: str) -> LabelSelector:
    """Return a selector of these labels."""
    return LabelSelector(
        frozenset(Requirement(k, Operator.IN, frozenset({v})) for k, v in labels.items())
    )


def config(*pools: Pool) -> Config:
    """Return a configuration of these pools."""
    return Config(pools=pools)
