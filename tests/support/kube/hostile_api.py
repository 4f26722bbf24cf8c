"""An API server that serves any object unchanged, including those that a real one would reject."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from support.kube.api import Api
from support.kube.hostile import encode

from metallb_py.errors import GoneError
from metallb_py.lab.apiserver.resources import RESOURCES, Resource
from metallb_py.lab.apiserver.selectors import selection
from metallb_py.lab.apiserver.server import ApiServer
from metallb_py.lab.apiserver.store import Object, Store, metadata

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PATHS = {f"{resource.prefix}/{resource.plural}": resource for resource in RESOURCES}
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/"
GONE: Object = {"code": 410, "message": "too old resource version", "reason": "Expired"}


class HostileApi(Api):
    """The embedded API server with ``hostile.encode``'s markers replaced in lists and watches."""

    async def start(self, application: web.Application | None = None) -> None:
        if application is None:
            application = ApiServer(self.store).application()
            application.middlewares.insert(0, _serving(self.store))
        await super().start(application)

    async def put(self, item: Object) -> None:
        """Create an object, or replace the existing one."""
        meta = metadata(item)
        resource = next(each for each in RESOURCES if each.kind == item["kind"])
        namespace, name = str(meta.get("namespace", "")), str(meta["name"])
        key = (resource.group, resource.plural, namespace, name)
        if key in self.store._items:
            await self.store.update(resource, namespace, name, item)
        else:
            await self.store.create(resource, namespace, item)

    async def remove(self, item: Object) -> None:
        """Delete an existing object."""
        meta = metadata(item)
        resource = next(each for each in RESOURCES if each.kind == item["kind"])
        await self.store.delete(resource, str(meta.get("namespace", "")), str(meta["name"]))


def _serving(store: Store) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    configuration: Object = {
        "metadata": {"name": "metallb-webhook-configuration", "resourceVersion": "1"},
        "webhooks": [{"name": "test.metallb.io", "clientConfig": {}}],
    }

    @web.middleware
    async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(WEBHOOKS):
            # Writes are not stored: certificates are not under test here.
            return web.Response(body=encode(configuration), content_type="application/json")
        resource = _collection(request) if request.method == "GET" else None
        if resource is None:
            return await handler(request)
        if request.query.get("watch") in ("true", "1"):
            return await _watch(store, resource, request)
        return _list(store, resource, request)

    return serve


def _collection(request: web.Request) -> Resource | None:
    parts = request.path.split("/")
    if "namespaces" in parts[:-2]:
        at = parts.index("namespaces")
        parts = parts[:at] + parts[at + 2 :]
    return _PATHS.get("/".join(parts))


def _list(store: Store, resource: Resource, request: web.Request) -> web.Response:
    selects = selection(request.query)
    namespace = request.match_info.get("namespace", "")
    items = filter(selects, store.list(resource, namespace))
    listed = {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(store.version)},
        "items": list(items),
    }
    return web.Response(body=encode(listed), content_type="application/json")


async def _watch(store: Store, resource: Resource, request: web.Request) -> web.StreamResponse:
    selects = selection(request.query)
    namespace = request.match_info.get("namespace", "")
    version = int(request.query.get("resourceVersion") or 0)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        async with asyncio.timeout(float(request.query.get("timeoutSeconds") or 60)):
            while True:
                for change in store.since(version):
                    version = change.version
                    of_item = metadata(change.item).get("namespace", "")
                    in_scope = change.resource is resource and namespace in ("", of_item)
                    if in_scope and selects(change.item):
                        line = encode({"type": change.type, "object": change.item})
                        await response.write(line + b"\n")
                await store.wait(version)
    except TimeoutError:
        pass
    except GoneError:
        await response.write(encode({"type": "ERROR", "object": GONE}) + b"\n")
    except ConnectionResetError:
        pass  # the client closed it
    return response
