"""A password in a Secret, with whole speakers under the manifest's rights, and the lab's FRR."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.network import NODES

pytestmark = pytest.mark.e2e
PASSWORD = "hunter2"
WITH_SECRET = CONFIG.replace(
    "  my-asn: 64500\n", "  my-asn: 64500\n  password-secret: {name: bgp-passwords, key: md5}\n"
)


def configure_frr(rig: Rig, *lines: str) -> None:
    """Change the configuration of the running router."""
    words = [word for line in ("configure", "router bgp 64501", *lines) for word in ("-c", line)]
    socket = str(rig.lab.folder / "frr")
    subprocess.run(["vtysh", "--vty_socket", socket, *words], check=True, capture_output=True)


@pytest.fixture
def protected(rig: Rig) -> Iterator[Rig]:
    """Provide a router that requires TCP MD5 signatures (RFC 2385) of every node."""
    configure_frr(rig, *(f"neighbor {node.address} password {PASSWORD}" for node in NODES))
    yield rig
    configure_frr(rig, *(f"no neighbor {node.address} password" for node in NODES))
    rig.kubectl("delete", "secret", "-n", NAMESPACE, "bgp-passwords", "--ignore-not-found")
    rig.apply_config()
    poll_until(rig.is_ready)


def missing_secrets(rig: Rig, node: str) -> list[str]:
    """Return the errors of a node's speaker about missing Secrets."""
    lines = rig.log(f"speaker-{node}")
    return [str(line["error"]) for line in lines if line.get("event") == "passwordMissing"]


def test_sessions_wait_for_their_password_secret(protected: Rig) -> None:
    rig = protected
    rig.apply_config(WITH_SECRET)
    for node in NODES:
        poll_until(
            lambda node=node: missing_secrets(rig, node.name), what=f"the log of {node.name}"
        )
        assert missing_secrets(rig, node.name) == ["there is no such Secret"]
    assert "Established" not in rig.sessions().values()

    meta = {"namespace": NAMESPACE, "name": "bgp-passwords"}
    kind = {"apiVersion": "v1", "kind": "Secret"}
    rig.apply({**kind, "metadata": meta, "stringData": {"md5": PASSWORD}})
    poll_until(rig.is_ready, what="sessions")
    for node in NODES:
        assert PASSWORD not in json.dumps(rig.log(f"speaker-{node.name}"))
