"""Objects of the API server, their versions, and the history of changes for watches."""

from __future__ import annotations

import asyncio
import copy
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from metallb_py.errors import ConflictError, GoneError, NotFoundError
from metallb_py.lab.apiserver.resources import Resource

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Object = dict[str, Json]

HISTORY = 2000


@dataclass(frozen=True, slots=True)
class Change:
    """One change, as a watch reports it."""

    version: int
    type: str
    resource: Resource
    item: Object


class Store:
    """Every object, by resource, namespace and name. Resource versions count all changes."""

    def __init__(self) -> None:
        self.version = 1
        self._items: dict[tuple[str, str, str, str], Object] = {}
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._changed = asyncio.Condition()

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return an object. Raises NotFoundError."""
        try:
            return copy.deepcopy(self._items[_key(resource, namespace, name)])
        except KeyError:
            raise NotFoundError(f'{resource.plural} "{name}" not found', 404) from None

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Return the objects of a resource, of one namespace or all, by name."""
        found = [
            item
            for key, item in sorted(self._items.items())
            if key[:2] == (resource.group, resource.plural) and namespace in ("", key[2])
        ]
        return copy.deepcopy(found)

    async def create(self, resource: Resource, namespace: str, item: Object) -> Object:
        """Store a new object. Raises ConflictError where the name is taken."""
        item = copy.deepcopy(item)
        meta = metadata(item)
        name = str(meta.get("name") or f"{meta.get('generateName', '')}{uuid.uuid4().hex[:5]}")
        if _key(resource, namespace, name) in self._items:
            raise ConflictError(f'{resource.plural} "{name}" already exists', 409)
        meta |= {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": _now()}
        if resource.namespaced:
            meta["namespace"] = namespace
        item |= {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
        return await self._put(resource, namespace, name, item, "ADDED")

    async def update(self, resource: Resource, namespace: str, name: str, item: Object) -> Object:
        """Replace an object.

        Raises NotFoundError, and ConflictError where the object names another version or uid than
        the stored one has.
        """
        item = copy.deepcopy(item)
        stored = metadata(self.get(resource, namespace, name))
        meta = metadata(item)
        _compare(resource, stored, meta)
        fixed = ("uid", "creationTimestamp", "name", "namespace")
        meta |= {key: stored[key] for key in fixed if key in stored}
        item["metadata"] = meta
        old = self._items[_key(resource, namespace, name)]
        meta["resourceVersion"] = stored["resourceVersion"]
        if item == old:
            return copy.deepcopy(old)
        return await self._put(resource, namespace, name, item, "MODIFIED")

    async def delete(
        self, resource: Resource, namespace: str, name: str, only: Object | None = None
    ) -> Object:
        """Remove an object.

        Raises NotFoundError, and ConflictError where ``only`` names another version or uid.
        """
        item = self.get(resource, namespace, name)
        _compare(resource, metadata(item), only or {})
        del self._items[_key(resource, namespace, name)]
        return await self._record(resource, item, "DELETED")

    async def wait(self, version: int) -> None:
        """Wait until something changed after this version."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.version > version)

    def since(self, version: int) -> Iterator[Change]:
        """Return the changes after this version.

        Raises GoneError where the history does not reach back that far, and for a version that
        only an earlier server can have returned.
        """
        oldest = self._history[0].version if self._history else self.version + 1
        if version > self.version or (version < oldest - 1 and version < self.version):
            raise GoneError(f"too old resource version: {version} ({oldest})", 410)
        return (change for change in list(self._history) if change.version > version)

    async def _put(
        self, resource: Resource, namespace: str, name: str, item: Object, kind: str
    ) -> Object:
        self._items[_key(resource, namespace, name)] = item
        return await self._record(resource, item, kind)

    async def _record(self, resource: Resource, item: Object, kind: str) -> Object:
        self.version += 1
        metadata(item)["resourceVersion"] = str(self.version)
        recorded = copy.deepcopy(item)
        self._history.append(Change(self.version, kind, resource, recorded))
        async with self._changed:
            self._changed.notify_all()
        return recorded


def metadata(item: Object) -> Object:
    """Return an object's metadata, to read or to change."""
    meta = item.setdefault("metadata", {})
    if not isinstance(meta, dict):
        raise TypeError("metadata: want an object")
    return meta


def _compare(resource: Resource, stored: Object, named: Object) -> None:
    for key in ("resourceVersion", "uid"):
        if named.get(key) not in (None, "", stored[key]):
            raise ConflictError(
                f'{resource.plural} "{stored["name"]}": {key} is {stored[key]}, not {named[key]}: '
                "the object has been modified",
                409,
            )


def _key(resource: Resource, namespace: str, name: str) -> tuple[str, str, str, str]:
    return resource.group, resource.plural, namespace if resource.namespaced else "", name


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
