"""All objects of one kind, read page by page; and all that the controller decides from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.config_state import StateError, StateNames, Stored, decode
from metallb_py.kube.objects import ConfigMap, KubeObject, ObjectList
from metallb_py.kube.resource import NAMESPACES, SERVICES, Resource
from metallb_py.kube.snapshot import Snapshot

if TYPE_CHECKING:  # it takes half a second to import, and is not called by its name here
    from metallb_py.kube.client import KubeClient

PAGE = 1000

T = TypeVar("T", bound=KubeObject)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Objects by ``namespace/name``, and the version of the collection that they are."""

    items: dict[str, T]
    version: str


async def list_objects(client: KubeClient, resource: Resource[T]) -> Listing[T]:
    """Read a collection, at its latest version. Raises ApiError, or msgspec's MsgspecError."""
    decode_page = msgspec.json.Decoder(ObjectList).decode
    decode = msgspec.json.Decoder(resource.view).decode
    found: dict[str, T] = {}
    query = {**resource.selectors, "limit": str(PAGE)}
    while True:
        page = decode_page(await client.get(resource.path, query))
        found.update((item.key, item) for item in map(decode, page.items or ()))
        if not page.metadata.continue_token:
            return Listing(found, page.metadata.resource_version)
        query["continue"] = page.metadata.continue_token


async def take_snapshot(client: KubeClient, namespace: str, config: str) -> Snapshot:
    """Read what there is now; ``config`` names the ConfigMap. Raises ApiError."""
    try:
        services = await list_objects(client, SERVICES)
        namespaces = await list_objects(client, NAMESPACES)
        configmap = await _configmap(client, f"/api/v1/namespaces/{namespace}/configmaps/{config}")
        stored = await _stored(client, StateNames(namespace, config))
    except msgspec.MsgspecError as error:
        raise ApiError(f"unexpected answer of the API server: {error}") from error
    labels = {name: item.metadata.labels or {} for name, item in namespaces.items.items()}
    return Snapshot(tuple(services.items.values()), labels, configmap, stored)


async def _configmap(client: KubeClient, path: str) -> ConfigMap | None:
    try:
        return msgspec.json.decode(await client.get(path), type=ConfigMap)
    except NotFoundError:
        return None


async def _stored(client: KubeClient, names: StateNames) -> Stored | None:
    """Return the stored state; one that can't be used counts as none, as for the daemons."""
    found = await list_objects(client, names.resource)
    try:
        return decode(names, {item.metadata.name: item for item in found.items.values()})
    except StateError:
        return None
