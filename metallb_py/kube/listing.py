"""Paginated lists of the objects of one kind, and what is read with them once.

That is the snapshot of the controller's inputs, and which API has a service's endpoints:
EndpointSlices, or Endpoints without them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from metallb_py.backoff import API_RETRY
from metallb_py.errors import ApiError, NotFoundError, OversizedError
from metallb_py.kube.config_state import StateError, StateNames, Stored
from metallb_py.kube.config_state import decode as decode_state
from metallb_py.kube.decoding import DECODE_ERRORS, Damaged, ObjectDecoder, decode
from metallb_py.kube.objects import (
    NAMESPACES,
    SERVICES,
    SLICES_API,
    ConfigMap,
    KubeObject,
    ObjectList,
    Resource,
)
from metallb_py.kube.snapshot import Snapshot

if TYPE_CHECKING:  # its import takes half a second, and only annotations name it here
    from metallb_py.kube.client import KubeClient

PAGE = 1000

T = TypeVar("T", bound=KubeObject)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """Objects by ``namespace/name``, and the version of the collection that they were read at.

    ``damaged`` are those that can't be decoded completely.
    """

    items: dict[str, T]
    damaged: tuple[Damaged[T], ...]
    version: str


async def list_objects(client: KubeClient, resource: Resource[T]) -> Listing[T]:
    """Read a collection page by page, at its latest version. Raises ApiError."""
    decoder = ObjectDecoder(resource.view)
    found: dict[str, T] = {}
    damaged: list[Damaged[T]] = []
    limit, token = PAGE, ""
    while True:
        query = {**resource.selectors, "limit": str(limit)}
        if token:
            query["continue"] = token
        try:
            body = await client.get(resource.path, query)
        except OversizedError:
            if limit == 1:
                raise
            limit //= 2  # large objects: smaller pages
            continue
        page = await decode_response_off_loop(body, ObjectList)
        for raw in page.items or ():
            item = await decode_object_off_loop(decoder, raw)
            if isinstance(item, Damaged):
                damaged.append(item)
            else:
                found[item.key] = item
        before, token = token, page.metadata.continue_token
        if not token:
            return Listing(found, tuple(damaged), page.metadata.resource_version)
        if token == before:
            raise ApiError(f"GET {resource.path}: the list never ends: found the same page twice")


async def take_snapshot(client: KubeClient, namespace: str, config: str) -> Snapshot:
    """Read the controller's current inputs; ``config`` names the ConfigMap. Raises ApiError."""
    services = await list_objects(client, SERVICES)
    namespaces = await list_objects(client, NAMESPACES)
    configmap = await _configmap(client, f"/api/v1/namespaces/{namespace}/configmaps/{config}")
    stored = await _stored(client, StateNames(namespace, config))
    labels = {name: item.metadata.labels or {} for name, item in namespaces.items.items()}
    damaged = (each.item for each in services.damaged if each.item is not None)
    return Snapshot((*services.items.values(), *damaged), labels, configmap, stored)


async def decode_object_off_loop(
    decoder: ObjectDecoder[T], data: bytes | msgspec.Raw
) -> T | Damaged[T]:
    """Decode one object; in a thread where that takes longer, so as not to block the event loop."""
    whole = decoder.whole(data)
    return whole if whole is not None else await asyncio.to_thread(decoder.salvage, data)


async def decode_response_off_loop(data: bytes, kind: type[V]) -> V:
    """Decode a response as ``decode`` does; in a thread where that takes longer."""
    try:
        return msgspec.json.decode(data, type=kind)
    except DECODE_ERRORS:
        return await asyncio.to_thread(decode, data, kind)


async def _configmap(client: KubeClient, path: str) -> ConfigMap | None:
    try:
        return decode(await client.get(path), ConfigMap)
    except NotFoundError:
        return None


async def _stored(client: KubeClient, names: StateNames) -> Stored | None:
    """Return the stored state; one that can't be decoded counts as none, as in the daemons."""
    found = await list_objects(client, names.resource)
    try:
        return decode_state(names, {item.metadata.name: item for item in found.items.values()})
    except StateError:
        return None


async def has_slices(client: KubeClient) -> bool:
    """Return whether the server has EndpointSlices. Retries until the server answers."""
    failures = 0
    while True:
        try:
            await client.get(SLICES_API)
        except NotFoundError:
            return False
        except ApiError as error:
            failures += 1
            await asyncio.sleep(error.delay(API_RETRY.delay(failures)))
        else:
            return True
