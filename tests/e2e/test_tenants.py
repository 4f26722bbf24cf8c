"""Pools with namespace selectors, ``plan`` and ``explain``, on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.kube.rig import CONFIG, Rig
from support.net.waiting import poll_until

pytestmark = pytest.mark.e2e
SHOP = """\
- name: shop
  protocol: layer2
  addresses: [172.30.0.230-172.30.0.231]
  priority: 1
  namespace-selectors:
  - match-labels: {team: shop}
"""
WITH_SHOP = CONFIG.rstrip() + "\n" + SHOP


def metallb(rig: Rig, *arguments: str, text: str = "") -> tuple[int, str]:
    """Run ``metallb-py`` with the administrator's credentials."""
    kubeconfig = f"--kubeconfig={rig.lab.control_plane.kubeconfig('admin')}"
    line = [sys.executable, "-m", "metallb_py.cli", *arguments, kubeconfig]
    done = subprocess.run(line, input=text, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_namespace_selectors_restrict_a_pool_to_labelled_namespaces(rig: Rig) -> None:
    rig.add_service("stranger", "shop")
    refused = poll_until(lambda: rig.events("Service", "stranger"), what="the Event")
    assert 'unknown pool "shop"' in refused[0]["message"]
    status, output = metallb(rig, "plan", "-", text=WITH_SHOP)
    assert (status, output.splitlines()[0]) == (0, 'pool "shop" appears')

    rig.apply_config(WITH_SHOP)
    poll_until(lambda: rig.config_status()["state"] == "applied")
    message = 'pool "shop": not for namespace "default"'
    poll_until(
        lambda: message in str(rig.events("Service", "stranger")), what="the Event with the reason"
    )
    status, output = metallb(rig, "explain", "stranger", "--json")
    assert status == 1
    pools = {each["pool"]: each["detail"] for each in json.loads(output)["pools"]}
    assert pools["shop"] == 'not for namespace "default"'

    rig.kubectl("label", "namespace", "default", "team=shop")
    address = poll_until(lambda: rig.address("stranger"), what="its namespace is permitted")
    assert address == "172.30.0.230"
    assert metallb(rig, "explain", "default/stranger")[0] == 0
    rig.kubectl("label", "namespace", "default", "team-")

    status, output = metallb(rig, "plan", "-", "--orphaned-addresses=renumber", text=CONFIG)
    assert status == 3
    assert "default/stranger loses 172.30.0.230: " in output
    status, output = metallb(rig, "plan", "-", text=CONFIG)
    assert 'default/stranger keeps 172.30.0.230, and pool "shop" drains' in output
    rig.apply_config()
    poll_until(rig.draining)
    assert rig.address("stranger") == address
    rig.delete_service("stranger")
    poll_until(lambda: not rig.draining())
