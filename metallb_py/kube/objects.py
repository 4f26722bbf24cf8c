"""Kubernetes objects as frozen views: only the fields that are used, decoded from raw JSON.

Field names and meanings are those of the Kubernetes API, in Python's spelling. Unknown fields are
ignored, so servers of any version may add to them; null and absent are equivalent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Generic, TypeVar

import msgspec

from metallb_py.addresses import IPAddress, parse_address

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
LOAD_BALANCER = "LoadBalancer"

Labels = dict[str, str]
Int32 = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]


class _View(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of all views."""


class ObjectMeta(_View, frozen=True):
    """Metadata of an object: its identity, version, labels and annotations."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Labels | None = None
    annotations: Labels | None = None

    @property
    def key(self) -> str:
        """``namespace/name``, or the name alone for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def label(self, name: str) -> str:
        """Return a label's value; empty where it is not set."""
        return (self.labels or {}).get(name, "")

    def annotation(self, name: str) -> str:
        """Return an annotation's value; empty where it is not set."""
        return (self.annotations or {}).get(name, "")


class _Readable(_View, frozen=True, kw_only=True):
    """Result of an object's decoding (see ``decoding``).

    ``unread`` has the paths of the fields that hold a default because the value that the server
    sent can't be decoded; empty for almost every object.
    """

    # No object of the API has a field of this name.
    unread: tuple[str, ...] = msgspec.field(name="(unread)", default=())


class KubeObject(_Readable, frozen=True):
    """Base of all objects."""

    metadata: ObjectMeta

    @property
    def key(self) -> str:
        """``namespace/name``, or the name alone for a cluster-scoped object."""
        return self.metadata.key


class ServicePort(_View, frozen=True):
    """One port of a Service."""

    port: Int32
    protocol: str = "TCP"


class ServiceSpec(_View, frozen=True):
    """Specification of a Service."""

    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] | None = msgspec.field(name="clusterIPs", default=None)
    ports: tuple[ServicePort, ...] | None = None
    selector: Labels | None = None
    external_traffic_policy: str = ""
    load_balancer_ip: str = msgspec.field(name="loadBalancerIP", default="")
    load_balancer_class: str | None = None
    ip_family_policy: str | None = None


class LoadBalancerIngress(_View, frozen=True):
    """One ingress point of a load balancer. Servers may add more fields (``ipMode``)."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(_View, frozen=True):
    """Ingress points of a load balancer."""

    ingress: tuple[LoadBalancerIngress, ...] | None = None


class ServiceStatus(_View, frozen=True):
    """Status of a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(KubeObject, frozen=True):
    """core/v1 Service."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @property
    def is_load_balancer(self) -> bool:
        """Whether its type is LoadBalancer."""
        return self.spec.type == LOAD_BALANCER

    @property
    def cluster_ips(self) -> tuple[str, ...]:
        """Cluster addresses; from ``spec.clusterIP`` where the server has no ``clusterIPs``.

        A headless Service has none.
        """
        addresses = self.spec.cluster_ips or (self.spec.cluster_ip,)
        return tuple(address for address in addresses if address and address != "None")

    @property
    def ingress(self) -> tuple[LoadBalancerIngress, ...]:
        """The entries of ``status.loadBalancer``."""
        return self.status.load_balancer.ingress or ()

    @property
    def status_addresses(self) -> tuple[IPAddress, ...]:
        """Addresses in ``status.loadBalancer``; text that is not an address is skipped.

        So are entries with only a host name, which another controller wrote.
        """
        found = []
        for entry in self.ingress:
            try:
                found.append(parse_address(entry.ip))
            except ValueError:
                continue
        return tuple(dict.fromkeys(found))


class ConfigMap(KubeObject, frozen=True):
    """core/v1 ConfigMap. ``binary_data`` is in base64, as it is sent."""

    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


class Namespace(KubeObject, frozen=True):
    """core/v1 Namespace."""


class NodeCondition(_View, frozen=True):
    """One condition of a Node or Pod."""

    type: str
    status: str = ""
    message: str = ""


class NodeAddress(_View, frozen=True):
    """One address of a Node: InternalIP, ExternalIP, Hostname ..."""

    type: str = ""
    address: str = ""


class NodeStatus(_View, frozen=True):
    """Status of a Node: conditions and addresses."""

    conditions: tuple[NodeCondition, ...] | None = None
    addresses: tuple[NodeAddress, ...] | None = None


class Taint(_View, frozen=True):
    """One taint of a Node."""

    key: str


class NodeSpec(_View, frozen=True):
    """Specification of a Node. ``unschedulable``: cordoned, for example by ``kubectl drain``."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] | None = None


class Node(KubeObject, frozen=True):
    """core/v1 Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def ip_addresses(self) -> frozenset[IPAddress]:
        """Addresses of the Node itself; host names and text that is not an address are skipped."""
        found = set()
        for entry in self.status.addresses or ():
            try:
                found.add(parse_address(entry.address))
            except ValueError:
                continue
        return frozenset(found)


class PodSpec(_View, frozen=True):
    """Specification of a Pod: the node that it runs on."""

    node_name: str = ""


class PodIP(_View, frozen=True):
    """One address of a Pod, which has at most one of each family."""

    ip: str = ""


class PodStatus(_View, frozen=True):
    """Status of a Pod: phase, addresses and conditions."""

    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    pod_ips: tuple[PodIP, ...] | None = msgspec.field(name="podIPs", default=None)
    conditions: tuple[NodeCondition, ...] | None = None


class Pod(KubeObject, frozen=True):
    """core/v1 Pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether the condition Ready is True, and the Pod is not being deleted."""
        conditions = self.status.conditions or ()
        ready = any(c.type == "Ready" and c.status == "True" for c in conditions)
        return ready and not self.metadata.deletion_timestamp

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of the Pod; empty while it has none."""
        entries = self.status.pod_ips or (PodIP(self.status.pod_ip),)
        return tuple(entry.ip for entry in entries if entry.ip)


class EndpointConditions(_View, frozen=True):
    """Conditions of an endpoint. Null means "unknown"; an unknown ``ready`` counts as ready."""

    ready: bool | None = None
    serving: bool | None = None


class SliceEndpoint(_View, frozen=True):
    """One endpoint of a slice."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    node_name: str | None = None


class EndpointSlice(KubeObject, frozen=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    endpoints: tuple[SliceEndpoint, ...] | None = None

    @property
    def service_key(self) -> str:
        """``namespace/name`` of the Service that the slice belongs to."""
        return f"{self.metadata.namespace}/{self.metadata.label(SERVICE_NAME_LABEL)}"


class EndpointAddress(_View, frozen=True):
    """One address of an Endpoints object."""

    ip: str
    node_name: str | None = None


class EndpointSubset(_View, frozen=True):
    """Endpoints of a Service that share ports."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None


class Endpoints(KubeObject, frozen=True):
    """core/v1 Endpoints, for servers without discovery.k8s.io/v1."""

    subsets: tuple[EndpointSubset, ...] | None = None


class LeaseSpec(_View, frozen=True):
    """Specification of a Lease. Times are RFC 3339, by the clock of their writer."""

    holder_identity: str | None = None
    lease_duration_seconds: Int32 | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: Int32 | None = None


class Lease(KubeObject, frozen=True):
    """coordination.k8s.io/v1 Lease."""

    spec: LeaseSpec = LeaseSpec()

    @property
    def holder(self) -> str:
        """Identity of the holder; empty where there is none."""
        return self.spec.holder_identity or ""


class ListMeta(_View, frozen=True):
    """Metadata of a list."""

    resource_version: str = ""
    continue_token: str = msgspec.field(name="continue", default="")


class ObjectList(_View, frozen=True):
    """One page of a list. The items' type depends on the resource."""

    metadata: ListMeta
    items: tuple[msgspec.Raw, ...] | None = None


class Bookmark(_View, frozen=True):
    """Object of a bookmark: a version to resume from, in the watched kind, without even a name."""

    metadata: ListMeta


class WatchEvent(_View, frozen=True):
    """One line of a watch. The object's type depends on the kind of event."""

    type: str
    object: msgspec.Raw


class StatusDetails(_View, frozen=True):
    """Details of a Status."""

    retry_after_seconds: Int32 | None = None


class Status(_View, frozen=True):
    """The API server's description of a request that failed."""

    message: str = ""
    reason: str = ""
    code: Int32 = 0
    details: StatusDetails | None = None


T = TypeVar("T", bound=KubeObject)


@dataclass(frozen=True)
class Resource(Generic[T]):
    """A collection of objects: its path, the view to decode them to, and query selectors."""

    path: str
    view: type[T]
    selectors: Mapping[str, str] = field(default_factory=dict)


SERVICES = Resource("/api/v1/services", Service)
NAMESPACES = Resource("/api/v1/namespaces", Namespace)
NODES = Resource("/api/v1/nodes", Node)
SLICES_API = "/apis/discovery.k8s.io/v1"
SLICES = Resource(
    f"{SLICES_API}/endpointslices", EndpointSlice, {"labelSelector": SERVICE_NAME_LABEL}
)
# Used instead of slices on servers without them.
ENDPOINTS = Resource("/api/v1/endpoints", Endpoints)
