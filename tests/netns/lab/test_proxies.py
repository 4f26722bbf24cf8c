"""Replacements of kube-proxy, nftables and the relay, on the embedded API server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.net.isolated import add_route, isolated
from support.net.requirements import require
from support.net.waiting import TIMEOUT

from metallb_py.lab import network
from metallb_py.lab.binaries import find
from metallb_py.lab.cluster import Cluster
from metallb_py.lab.control_plane import Embedded
from metallb_py.lab.network import NODES
from metallb_py.lab.probe import Probe
from metallb_py.lab.processes import Programs, wait_until
from metallb_py.lab.proxies import choose

pytestmark = pytest.mark.netns
ADDRESS = "172.30.0.200"
URL = f"http://{ADDRESS}:8000/"
SERVICE = {
    "kind": "Service",
    "metadata": {"namespace": "default", "name": "web"},
    "spec": {
        "type": "LoadBalancer",
        "selector": {"app": "web"},
        "ports": [{"port": 8000, "targetPort": 80}],
    },
}


@contextmanager
def proxied(mode: str, folder: Path) -> Iterator[tuple[Cluster, Probe]]:
    """Run the replacement on node3, and route the client's packets for ADDRESS to it."""
    network.build()
    add_route("client", f"{ADDRESS}/32", NODES[2].address)
    with Programs(folder) as programs:
        server = Embedded(programs)
        server.start()
        cluster = Cluster(server.kubeconfig("admin"))
        for node in NODES:
            if node.pod:
                line = [sys.executable, "-m", "metallb_py.lab.page", node.pod.name, "80"]
                programs.start(node.pod.name, *line, machine=node.pod.name)
                cluster.add_pod(node, node.pod.name, node.pod.address, {"app": "web"})
        command = choose(mode, None).command(NODES[2], server.kubeconfig("kube-proxy"))
        programs.start("proxy", *command, machine=NODES[2].name)
        probe = Probe("client")
        try:
            yield cluster, probe
        finally:
            probe.close()


@pytest.mark.parametrize("mode", ["relay", "nft"])
def test_load_balancer_ip_leads_to_every_pod_until_it_is_removed(mode: str, tmp_path: Path) -> None:
    require(mode == "relay" or find("nft"), "nft")

    def look() -> tuple[set[str], list[str]]:
        with proxied(mode, tmp_path) as (cluster, probe):
            cluster.apply([SERVICE])
            cluster.set_status(SERVICE, {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}})
            wait_until("a page", TIMEOUT, lambda: bool(probe.page(URL)))
            pages: set[str] = set()

            def both() -> bool:
                pages.update(filter(None, [probe.page(URL)]))
                return len(pages) == 2

            wait_until("both pages", TIMEOUT, both)
            answers = probe.answers(ADDRESS, 0.5)
            cluster.set_status(SERVICE, {"loadBalancer": {"ingress": []}})
            wait_until("none", TIMEOUT, lambda: not probe.page(URL))
            return pages, answers

    pages, answers = isolated(look)
    assert pages == {"pod1\n", "pod2\n"}
    assert answers == [], "a node that forwards for an address does not answer ARP for it"
