"""An API server in the test process, on loopback: real HTTP, real watches, real conflicts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from support.net.waiting import TIMEOUT

from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Service
from metallb_py.lab.apiserver.defaults import BY_KIND
from metallb_py.lab.apiserver.server import ApiServer
from metallb_py.lab.apiserver.store import Object, Store, metadata

HOST = "127.0.0.1"


class Api:
    """The server, which can be stopped and restarted on its port with its store kept."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        self.kubeconfig = folder / "kubeconfig"
        self._port = 0
        self._runner: web.AppRunner | None = None

    async def start(self, application: web.Application | None = None) -> None:
        """Serve on the same port as before; ``application`` replaces the embedded API server."""
        application = application or ApiServer(self.store).application()
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, HOST, self._port, reuse_address=True)
        await site.start()
        self._port = runner.addresses[0][1]
        self._runner = runner
        self.kubeconfig.write_text(json.dumps(self._credentials()))

    async def stop(self) -> None:
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
            for _ in range(5):  # connections that were accepted last get their handlers
                await asyncio.sleep(0)
            await self._runner.cleanup()
            self._runner = None

    async def restart_without_history(self) -> None:
        """Restart without the history of changes, so that no watch can be resumed."""
        await self.stop()
        kept = self.store
        self.store = Store()
        self.store.version = kept.version + 1000
        for service in kept.list(BY_KIND["Service"]):
            await self.add(service)
        await self.start()

    async def add(self, item: Object) -> Object:
        meta = item["metadata"]
        assert isinstance(meta, dict)
        kind = BY_KIND[str(item["kind"])]
        return await self.store.create(kind, str(meta.get("namespace", "")), item)

    async def add_service(self, name: str, **spec: object) -> Object:
        cluster: Object = {"clusterIPs": ["10.96.0.10"], "ports": [{"port": 80}]}
        body: Object = {
            "kind": "Service",
            "metadata": {"namespace": "default", "name": name},
            "spec": {"type": "LoadBalancer", **cluster, **spec},  # type: ignore[dict-item]
            "status": {"loadBalancer": {}},
        }
        return await self.add(body)

    async def delete_service(self, name: str) -> None:
        await self.store.delete(BY_KIND["Service"], "default", name)

    async def set_config(self, text: str) -> None:
        """Create or replace the ConfigMap; a replaced one loses its annotations."""
        kind = BY_KIND["ConfigMap"]
        item: Object = {"kind": "ConfigMap", "data": {"config": text}}
        item["metadata"] = {"namespace": "metallb-system", "name": "config"}
        if any(metadata(each)["name"] == "config" for each in self.store.list(kind)):
            await self.store.update(kind, "metallb-system", "config", item)
        else:
            await self.store.create(kind, "metallb-system", item)

    async def change_config(self, text: str) -> None:
        """Change the ConfigMap's text only, as ``kubectl edit`` does."""
        kind = BY_KIND["ConfigMap"]
        item = self.store.get(kind, "metallb-system", "config")
        item["data"] = {"config": text}
        await self.store.update(kind, "metallb-system", "config", item)

    async def label_namespace(self, name: str, labels: dict[str, str]) -> None:
        kind = BY_KIND["Namespace"]
        item = self.store.get(kind, "", name)
        item["metadata"] = {**item["metadata"], "labels": labels}  # type: ignore[dict-item]
        await self.store.update(kind, "", name, item)

    def service(self, name: str) -> Service:
        item = self.store.get(BY_KIND["Service"], "default", name)
        return msgspec.convert(item, Service)

    def ips(self, name: str) -> list[str]:
        return [entry.ip for entry in self.service(name).ingress]

    def events(self) -> list[Object]:
        return self.store.list(BY_KIND["Event"])

    async def until(self, condition: Callable[[], object], seconds: float = TIMEOUT) -> None:
        """Wait until a condition holds, which is evaluated after every change in the store."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.store.wait(self.store.version)

    def _credentials(self) -> Object:
        server = f"http://{HOST}:{self._port}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": server}}],
            "users": [{"name": "test", "user": {"token": "s3cret"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }


@asynccontextmanager
async def running_api(folder: Path) -> AsyncIterator[Api]:
    """Run a server for the length of a block."""
    api = Api(folder)
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[KubeClient]:
    """Provide a client of the server for the length of a block."""
    client = await KubeClient.connect(str(api.kubeconfig))
    try:
        yield client
    finally:
        await client.close()
