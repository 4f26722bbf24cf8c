"""Acceptance of the shipped manifests by a real API server, with strict validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.kube.rig import Rig

pytestmark = pytest.mark.e2e
MANIFESTS = sorted((Path(__file__).parents[2] / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_api_server_accepts_the_manifest(rig: Rig, manifest: Path) -> None:
    text = manifest.read_text()
    done = rig.try_kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", data=text)
    assert done.returncode == 0, done.stderr
    assert "unknown field" not in done.stderr
