"""Kubernetes objects as frozen views: only the fields that are used, decoded from raw JSON.

Field names are Kubernetes' own, in Python's spelling. Unknown fields are ignored, so servers of
any version may add to them; null and absent mean the same.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from metallb_py.addresses import IPAddress, parse_address

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
LOAD_BALANCER = "LoadBalancer"

Labels = dict[str, str]
Int32 = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]


class _View(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Base of all views."""


class ObjectMeta(_View, frozen=True):
    """Who an object is."""

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
        """``namespace/name``, or the name alone for what has no namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def label(self, name: str) -> str:
        """Return a label's value, empty where it is not set."""
        return (self.labels or {}).get(name, "")

    def annotation(self, name: str) -> str:
        """Return an annotation's value, empty where it is not set."""
        return (self.annotations or {}).get(name, "")


class _Readable(_View, frozen=True, kw_only=True):
    """What is known of an object's decoding (see ``decoding``).

    ``unread`` are the paths of the fields that have a default in place of what the server sent,
    because that can't be decoded; none for any object but the oddest.
    """

    # No field of an object of the API has a name like this one.
    unread: tuple[str, ...] = msgspec.field(name="(unread)", default=())


class KubeObject(_Readable, frozen=True):
    """What every object has."""

    metadata: ObjectMeta

    @property
    def key(self) -> str:
        """``namespace/name``, or the name alone for what has no namespace."""
        return self.metadata.key


class ServicePort(_View, frozen=True):
    """A port that a service offers."""

    port: Int32
    protocol: str = "TCP"


class ServiceSpec(_View, frozen=True):
    """What a service asks for."""

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
    """One address that a load balancer gave. Servers may add more fields (``ipMode``)."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(_View, frozen=True):
    """The addresses that a load balancer gave."""

    ingress: tuple[LoadBalancerIngress, ...] | None = None


class ServiceStatus(_View, frozen=True):
    """What was made of a service."""

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
        """Cluster addresses; from ``spec.clusterIP`` where a server knows no ``clusterIPs``.

        A headless service has none.
        """
        addresses = self.spec.cluster_ips or (self.spec.cluster_ip,)
        return tuple(address for address in addresses if address and address != "None")

    @property
    def ingress(self) -> tuple[LoadBalancerIngress, ...]:
        """The entries of ``status.loadBalancer``."""
        return self.status.load_balancer.ingress or ()

    @property
    def status_addresses(self) -> tuple[IPAddress, ...]:
        """The addresses in ``status.loadBalancer``; text that is no address does not count.

        Entries with a host name alone are somebody else's and are skipped.
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
    """One condition of a node or pod."""

    type: str
    status: str = ""
    message: str = ""


class NodeAddress(_View, frozen=True):
    """One address of a node: InternalIP, ExternalIP, Hostname ..."""

    type: str = ""
    address: str = ""


class NodeStatus(_View, frozen=True):
    """A node's health and addresses."""

    conditions: tuple[NodeCondition, ...] | None = None
    addresses: tuple[NodeAddress, ...] | None = None


class Taint(_View, frozen=True):
    """Why pods are kept from a node."""

    key: str


class NodeSpec(_View, frozen=True):
    """What is asked of a node. ``unschedulable``: it is cordoned, by ``kubectl drain`` say."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] | None = None


class Node(KubeObject, frozen=True):
    """core/v1 Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def ip_addresses(self) -> frozenset[IPAddress]:
        """Its own addresses; host names, and text that is no address, do not count."""
        found = set()
        for entry in self.status.addresses or ():
            try:
                found.add(parse_address(entry.address))
            except ValueError:
                continue
        return frozenset(found)


class PodSpec(_View, frozen=True):
    """Where a pod runs."""

    node_name: str = ""


class PodIP(_View, frozen=True):
    """One address of a pod; it has at most one of each family."""

    ip: str = ""


class PodStatus(_View, frozen=True):
    """What is known of a pod's health and addresses."""

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
        """Whether its condition Ready is True, and it is not about to end."""
        conditions = self.status.conditions or ()
        ready = any(c.type == "Ready" and c.status == "True" for c in conditions)
        return ready and not self.metadata.deletion_timestamp

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, as far as it has any."""
        entries = self.status.pod_ips or (PodIP(self.status.pod_ip),)
        return tuple(entry.ip for entry in entries if entry.ip)


class EndpointConditions(_View, frozen=True):
    """An endpoint's health; null means "unknown", which counts as ready."""

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
        """``namespace/name`` of the service that it belongs to."""
        return f"{self.metadata.namespace}/{self.metadata.label(SERVICE_NAME_LABEL)}"


class EndpointAddress(_View, frozen=True):
    """One endpoint of an Endpoints object."""

    ip: str
    node_name: str | None = None


class EndpointSubset(_View, frozen=True):
    """The endpoints of a service that share ports."""

    addresses: tuple[EndpointAddress, ...] | None = None
    not_ready_addresses: tuple[EndpointAddress, ...] | None = None


class Endpoints(KubeObject, frozen=True):
    """core/v1 Endpoints, where a server has no discovery.k8s.io/v1."""

    subsets: tuple[EndpointSubset, ...] | None = None


class LeaseSpec(_View, frozen=True):
    """Who holds a lease. Times are RFC 3339, by the clock of whoever wrote them."""

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
        """Who holds it, empty where nobody does."""
        return self.spec.holder_identity or ""


class ListMeta(_View, frozen=True):
    """What a list says of itself."""

    resource_version: str = ""
    continue_token: str = msgspec.field(name="continue", default="")


class ObjectList(_View, frozen=True):
    """One page of a list. The items' type depends on the resource."""

    metadata: ListMeta
    items: tuple[msgspec.Raw, ...] | None = None


class Bookmark(_View, frozen=True):
    """What a watch can be resumed from: an object of the watched kind without even a name."""

    metadata: ListMeta


class WatchEvent(_View, frozen=True):
    """One line of a watch. The object's type depends on the kind of event."""

    type: str
    object: msgspec.Raw


class StatusDetails(_View, frozen=True):
    """More about a failure."""

    retry_after_seconds: Int32 | None = None


class Status(_View, frozen=True):
    """What the API server says of a request that failed."""

    message: str = ""
    reason: str = ""
    code: Int32 = 0
    details: StatusDetails | None = None
