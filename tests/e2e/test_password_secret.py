"""A password in a Secret, with whole speakers under the manifest's rights, and the lab's FRR."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from support.cluster import CONFIG, Rig, eventually

from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.network import NODES

pytestmark = pytest.mark.e2e
PASSWORD = "hunter2"
WITH_SECRET = CONFIG.replace(
    "  my-asn: 64500\n", "  my-asn: 64500\n  password-secret: {name: bgp-passwords, key: md5}\n"
)


def configure_frr(rig: Rig, *lines: str) -> None:
    """Change the router's configuration while it runs."""
    words = [word for line in ("configure", "router bgp 64501", *lines) for word in ("-c", line)]
    socket = str(rig.lab.folder / "frr")
    subprocess.run(["vtysh", "--vty_socket", socket, *words], check=True, capture_output=True)


@pytest.fixture
def protected(rig: Rig) -> Iterator[Rig]:
    """Have a router that wants every node's segments signed."""
    configure_frr(rig, *(f"neighbor {node.address} password {PASSWORD}" for node in NODES))
    yield rig
    configure_frr(rig, *(f"no neighbor {node.address} password" for node in NODES))
    rig.kubectl("delete", "secret", "-n", NAMESPACE, "bgp-passwords", "--ignore-not-found")
    rig.apply_config()
    eventually(rig.is_ready)


def told(rig: Rig, node: str) -> list[str]:
    """Return what a node's speaker said of Secrets that it misses."""
    lines = rig.log(f"speaker-{node}")
    return [str(line["error"]) for line in lines if line.get("event") == "passwordMissing"]


def test_sessions_wait_for_their_secret(protected: Rig) -> None:
    rig = protected
    rig.apply_config(WITH_SECRET)
    for node in NODES:
        eventually(lambda node=node: told(rig, node.name), what=f"the log of {node.name}")
        assert told(rig, node.name) == ["there is no such Secret"]
    assert "Established" not in rig.sessions().values()

    meta = {"namespace": NAMESPACE, "name": "bgp-passwords"}
    kind = {"apiVersion": "v1", "kind": "Secret"}
    rig.apply({**kind, "metadata": meta, "stringData": {"md5": PASSWORD}})
    eventually(rig.is_ready, what="sessions")
    for node in NODES:
        assert PASSWORD not in json.dumps(rig.log(f"speaker-{node.name}"))
