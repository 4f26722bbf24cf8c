"""HTTP interface of the embedded API server."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.lab.apiserver import defaults, protobuf, resources, tables
from metallb_py.lab.apiserver.limits import MAX_BODY, check_sizes
from metallb_py.lab.apiserver.patches import PatchError, apply_patch
from metallb_py.lab.apiserver.resources import Resource
from metallb_py.lab.apiserver.selectors import selection
from metallb_py.lab.apiserver.store import Json, Object, Store, metadata
from metallb_py.lab.apiserver.watches import serve_watch

_REASONS = {
    400: "BadRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
}
VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0+lab", "platform": "linux/amd64"}


class ApiServer:
    """Serves requests from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(middlewares=[_errors], client_max_size=MAX_BODY)
        app.router.add_get("/version", _always(VERSION))
        app.router.add_get("/api", _always(resources.api_versions()))
        app.router.add_get("/apis", _always(resources.group_list()))
        app.router.add_get("/openapi/v3", _always(resources.openapi_index()))
        app.router.add_get("/openapi/v3/{prefix:.*}", _openapi)
        app.router.add_get("/api/{version}", _resource_list)
        app.router.add_get("/apis/{group}/{version}", _resource_list)
        for resource in resources.RESOURCES:
            self._add_routes(app, resource)
        return app

    def _add_routes(self, app: web.Application, resource: Resource) -> None:
        def bound(
            method: Callable[[Resource, web.Request], Awaitable[web.StreamResponse]],
        ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
            async def handle(request: web.Request) -> web.StreamResponse:
                return await method(resource, request)

            return handle

        scopes = [f"{resource.prefix}/{resource.plural}"]
        if resource.namespaced:
            scopes.append(f"{resource.prefix}/namespaces/{{namespace}}/{resource.plural}")
        for scope in scopes:
            app.router.add_get(scope, bound(self._list))
            app.router.add_post(scope, bound(self._create))
        one = f"{scopes[-1]}/{{name}}"
        for path in (one, f"{one}/status") if resource.status else (one,):
            app.router.add_get(path, bound(self._get))
            app.router.add_put(path, bound(self._replace))
            app.router.add_patch(path, bound(self._patch))
        app.router.add_delete(one, bound(self._delete))

    async def _get(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        found = self._store.get(resource, *_place(request))
        if tables.wants_table(request.headers.get("Accept", "")):
            return _answer(tables.table(resource, [found], self._store.version, tables.now()))
        return _answer(found)

    async def _list(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") in ("true", "1"):
            return await serve_watch(self._store, resource, request, _status)
        namespace = request.match_info.get("namespace", "")
        found = list(filter(selection(request.query), self._store.list(resource, namespace)))
        if tables.wants_table(request.headers.get("Accept", "")):
            return _answer(tables.table(resource, found, self._store.version, tables.now()))
        return _answer(
            {
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": {"resourceVersion": str(self._store.version)},
                "items": list(found),
            }
        )

    async def _create(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        item = await _body(request)
        namespace = str(request.match_info.get("namespace", ""))
        if resource.kind == "Service":
            defaults.complete_service(self._store, item)
        if resource.kind == "Namespace":
            item["status"] = {"phase": "Active"}
        check_sizes(item)
        return _answer(await self._store.create(resource, namespace, item), 201)

    async def _replace(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        return await self._store_changed(resource, request, await _body(request))

    async def _patch(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        patch = await _json(request)  # first: nothing may be awaited between reading and writing
        stored = self._store.get(resource, *_place(request))
        # Without a version in the patch, any version may be patched.
        metadata(stored).pop("resourceVersion")
        changed = apply_patch(request.headers["Content-Type"], stored, patch)
        return await self._store_changed(resource, request, changed)

    async def _store_changed(
        self, resource: Resource, request: web.Request, item: Object
    ) -> web.StreamResponse:
        namespace, name = _place(request)
        stored = self._store.get(resource, namespace, name)
        if resource.status:  # the spec and the status are written by different paths
            part = "spec" if request.path.endswith("/status") else "status"
            if part in stored:
                item[part] = stored[part]
            else:
                item.pop(part, None)
        if resource.kind == "Service":
            defaults.complete_service(self._store, item)
        check_sizes(item)
        return _answer(await self._store.update(resource, namespace, name, item))

    async def _delete(self, resource: Resource, request: web.Request) -> web.StreamResponse:
        only = await _preconditions(request)
        return _answer(await self._store.delete(resource, *_place(request), only))


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info.get("namespace", ""), request.match_info["name"]


async def _body(request: web.Request) -> Object:
    if request.content_type == protobuf.CONTENT_TYPE:
        return protobuf.decode(await request.read())
    if "json" not in request.content_type:
        raise ApiError(f"{request.content_type}: want application/json", 415)
    item = await _json(request)
    if not isinstance(item, dict) or not isinstance(item.get("metadata", {}), dict):
        raise ApiError("body: want an object with metadata", 400)
    return item


async def _preconditions(request: web.Request) -> Object:
    """Return the preconditions for the deletion of an object."""
    options = await _json(request) if request.can_read_body else {}
    only = options.get("preconditions") if isinstance(options, dict) else None
    return only if isinstance(only, dict) else {}


async def _json(request: web.Request) -> Json:
    try:
        item: Json = json.loads(await request.read())
    except ValueError as error:
        raise ApiError(f"body: {error}", 400) from error
    return item


def _answer(item: Object, status: int = 200) -> web.Response:
    return web.json_response(item, status=status)


def _always(item: object) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response(item)

    return handle


async def _openapi(request: web.Request) -> web.Response:
    return web.json_response(resources.openapi(request.match_info["prefix"]))


async def _resource_list(request: web.Request) -> web.Response:
    group = request.match_info.get("group", "")
    found = resources.resource_list(group, request.match_info["version"])
    if found is None:
        raise NotFoundError(f"{request.path}: no such API", 404)
    return web.json_response(found)


def _status(error: ApiError) -> Object:
    code = error.status or 400
    reason = _REASONS.get(code, "InternalError")
    if isinstance(error, ConflictError) and "already exists" in str(error):
        reason = "AlreadyExists"
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": str(error),
        "reason": reason,
        "code": code,
    }


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response(_status(error), status=error.status or 400)
    except PatchError as error:
        return web.json_response(_status(ApiError(str(error), 422)), status=422)
    except web.HTTPException as error:
        missing = ApiError(f"{request.method} {request.path}: {error.reason}", error.status)
        return web.json_response(_status(missing), status=error.status)
