"""Short ways to make Kubernetes objects and configurations for tests."""

from __future__ import annotations

from ipaddress import ip_network

from controller.core import POOL_ANNOTATION
from metallb_py.config.model import BgpAdvertisement, Config, Pool, Protocol
from metallb_py.kube.objects import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)


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
    **spec: object,
) -> Service:
    """Make a service ``default/<name>`` whose status holds ``ips``, from ``pool``."""
    if pool:
        annotations = {**(annotations or {}), POOL_ANNOTATION: pool}
    ingress = tuple(LoadBalancerIngress(ip=ip) for ip in ips)
    meta = ObjectMeta(
        name=name,
        namespace="default",
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
) -> Pool:
    """Make a pool."""
    advertisements = (BgpAdvertisement(),) if protocol is Protocol.BGP else ()
    networks = tuple(ip_network(cidr) for cidr in cidrs)
    return Pool(name, protocol, networks, avoid_buggy_ips, auto_assign, advertisements)


def config(*pools: Pool) -> Config:
    """Make a configuration of these pools."""
    return Config(pools=pools)
