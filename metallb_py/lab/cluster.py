"""Client of the lab's API server: applies and reads objects, and writes a kubelet's statuses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from metallb_py.errors import ApiError, ConflictError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Service
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.network import NODES, Node
from metallb_py.lab.processes import LabError

Object = dict[str, object]
T = TypeVar("T")

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# The collection of each kind; "{}" stands for the part that names the namespace.
_COLLECTIONS = {
    "ConfigMap": "/api/v1{}/configmaps",
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1{}/pods",
    "Service": "/api/v1{}/services",
    "ServiceAccount": "/api/v1{}/serviceaccounts",
    "ClusterRole": _RBAC + "/clusterroles",
    "ClusterRoleBinding": _RBAC + "/clusterrolebindings",
    "Role": _RBAC + "{}/roles",
    "RoleBinding": _RBAC + "{}/rolebindings",
}
ACCESS_KINDS = (
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
)
_READY = [{"type": "Ready", "status": "True"}]


class Cluster:
    """Access to the API server as an administrator. Every method raises LabError."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    def apply(self, objects: Iterable[Object]) -> None:
        """Create these objects, in order; merge into those that exist."""

        async def apply_all(client: KubeClient) -> None:
            for item in objects:
                collection, name = _place(item)
                try:
                    await client.create(collection, item)
                except ConflictError:
                    await client.patch(f"{collection}/{name}", item)

        self._use(apply_all)

    def set_status(self, item: Object, status: Object) -> None:
        """Write an object's status, as a kubelet would."""
        collection, name = _place(item)
        body: Object = {"status": status}
        self._use(lambda client: client.patch(f"{collection}/{name}/status", body))

    def get_service(self, namespace: str, name: str) -> Service:
        """Read a service."""
        path = f"/api/v1/namespaces/{namespace}/services/{name}"
        return msgspec.json.decode(self._use(lambda client: client.get(path)), type=Service)

    def add_nodes(self) -> None:
        """Create the Node objects, which are ready."""
        for node in NODES:
            labels: Object = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux"}
            item: Object = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": node.name, "labels": labels},
            }
            self.apply([item])
            address = {"type": "InternalIP", "address": node.address}
            self.set_status(item, {"addresses": [address], "conditions": _READY})

    def add_pod(
        self, node: Node, name: str, address: str, labels: Object, namespace: str = "default"
    ) -> None:
        """Create a Pod object that runs on a node and is ready."""
        item: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {
                "nodeName": node.name,
                "hostNetwork": address == node.address,
                "containers": [{"name": "main", "image": "lab"}],
            },
        }
        self.apply([item])
        status: Object = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": node.address,
            "conditions": _READY,
        }
        self.set_status(item, status)

    def add_speaker_pod(self, node: Node) -> None:
        """Create the Pod object of a node's speaker."""
        labels: Object = {"app": "metallb", "component": "speaker"}
        self.add_pod(node, f"speaker-{node.name}", node.address, labels, NAMESPACE)

    def set_speaker_ready(self, node: Node, *, ready: bool) -> None:
        """Set whether the pod of a node's speaker is ready, as a kubelet would by its probe."""
        meta: Object = {"namespace": NAMESPACE, "name": f"speaker-{node.name}"}
        condition = {"type": "Ready", "status": str(ready)}
        item: Object = {"kind": "Pod", "metadata": meta}
        self.set_status(item, {"conditions": [condition]})

    def _use(self, work: Callable[[KubeClient], Awaitable[T]]) -> T:
        async def connected() -> T:
            client = await KubeClient.connect(str(self._kubeconfig))
            try:
                return await work(client)
            finally:
                await client.close()

        try:
            return asyncio.run(connected())
        except ApiError as error:
            raise LabError(str(error)) from error


def read_objects(path: Path) -> list[Object]:
    """Read the objects in a YAML file. Raises LabError."""
    try:
        with path.open() as file:
            return [item for item in yaml.safe_load_all(file) if item]
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise LabError(f"{path}: {' '.join(str(error).split())}") from error


def _place(item: Object) -> tuple[str, str]:
    """Return an object's collection and name."""
    meta = item["metadata"]
    kind = str(item["kind"])
    if not isinstance(meta, dict) or kind not in _COLLECTIONS:
        wanted = ", ".join(sorted(_COLLECTIONS))
        raise LabError(f"{kind}: the lab can't apply objects of this kind: want one of {wanted}")
    namespace = meta.get("namespace")
    scope = f"/namespaces/{namespace}" if namespace else ""
    return _COLLECTIONS[kind].format(scope), str(meta["name"])
