"""Reading all there is, page by page."""

from __future__ import annotations

from pathlib import Path

from support.api import connected, running_api

from metallb_py.kube import listing
from metallb_py.kube.resource import SERVICES


async def test_more_than_one_page(tmp_path: Path) -> None:
    wanted = {f"default/s{number:04}" for number in range(listing.PAGE + 7)}
    async with running_api(tmp_path) as api, connected(api) as client:
        for key in wanted:
            await api.add_service(key.partition("/")[2])
        listed = await listing.list_objects(client, SERVICES)
        assert listed.items.keys() == wanted
        assert listed.version == str(api.store.version)


async def test_a_snapshot_with_and_without_a_configmap(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, connected(api) as client:
        await api.add({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "x"}}})
        await api.add_service("web")
        taken = await listing.take_snapshot(client, "metallb-system", "config")
        assert [item.key for item in taken.services] == ["default/web"]
        assert taken.namespaces["shop"]["team"] == "x"
        assert taken.configmap is None
        await api.set_config("peers: []")
        taken = await listing.take_snapshot(client, "metallb-system", "config")
        assert taken.configmap is not None
        assert taken.configmap.data == {"config": "peers: []"}
