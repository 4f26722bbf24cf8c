"""Client of one Lease (coordination.k8s.io/v1): paths, bodies and answers, without any policy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from metallb_py.errors import NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.decoding import decode
from metallb_py.kube.objects import Lease, LeaseSpec, Resource


def leases(namespace: str, labels: Mapping[str, str] | None = None) -> Resource[Lease]:
    """Return the collection of a namespace's Leases that have these labels."""
    selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items())
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    return Resource(path, Lease, {"labelSelector": selector} if selector else {})


def micro_time() -> str:
    """Return the present time as the API's MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LeaseClient:
    """Reads and writes the Lease of a name. Every method raises ApiError or a subclass of it."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        name: str,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._collection = leases(namespace).path
        self.path = f"{self._collection}/{name}"
        self._meta: dict[str, object] = {"name": name, "namespace": namespace}
        if labels:
            self._meta["labels"] = dict(labels)

    async def read(self) -> Lease | None:
        """Read the Lease; None if it does not exist."""
        try:
            return decode(await self._client.get(self.path), Lease)
        except NotFoundError:
            return None

    async def create(self, spec: LeaseSpec) -> Lease:
        """Create the Lease. Raises ConflictError if it exists, NotFoundError without namespace."""
        return decode(await self._client.create(self._collection, self._body(spec, {})), Lease)

    async def replace(self, spec: LeaseSpec, version: str, uid: str = "") -> Lease:
        """Replace this version of the Lease; with a ``uid``, not that of a later Lease of its name.

        Raises ConflictError if it has another version or uid, NotFoundError if it was deleted.
        """
        meta = {"uid": uid, "resourceVersion": version} if uid else {"resourceVersion": version}
        return decode(await self._client.replace(self.path, self._body(spec, meta)), Lease)

    async def delete(self, lease: Lease) -> None:
        """Delete the Lease. Raises ConflictError if it changed, NotFoundError if it is gone."""
        meta = lease.metadata
        await self._client.delete(self.path, meta.uid, meta.resource_version)

    def _body(self, spec: LeaseSpec, meta: Mapping[str, object]) -> dict[str, object]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {**self._meta, **meta},
            "spec": msgspec.to_builtins(spec),
        }
