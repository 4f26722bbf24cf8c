"""One lab on the real control plane, with FRR and kube-proxy, for all tests of the folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kube.rig import Rig
from support.net.requirements import METALLB_SPEAKER, require
from support.net.waiting import poll_until

from metallb_py.lab.binaries import find, find_kubernetes
from metallb_py.lab.isolate import IsolationError, isolate_this_process
from metallb_py.lab.lab import Lab, LabOptions
from metallb_py.lab.network import NODES

# A short name: the paths of the sockets far below it have at most 107 characters.
FOLDER = Path(tempfile.gettempdir(), f"mpy-{os.getuid()}")

# test_mixed_cluster.py needs a program that is present only where it was built by hand.
collect_ignore = [] if METALLB_SPEAKER in os.environ else ["test_mixed_cluster.py"]


def pytest_configure() -> None:
    """Use a temporary folder of our own, which daemons of other users can reach.

    Every pytest that starts changes the shared folder of all runs back to its own user.
    """
    FOLDER.mkdir(mode=0o711, exist_ok=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(FOLDER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of idle daemons first: the others leave memory in use."""
    items.sort(key=lambda item: item.get_closest_marker("idle") is None)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Provide the lab, with the controller and three speakers running and a first configuration."""
    require(find_kubernetes("1.34") is not None, "kube-apiserver 1.34")
    require(Path("/usr/lib/frr/bgpd").exists(), "FRR")
    for program in ("arping", "curl", "iptables"):
        require(find(program) is not None, program)
    try:
        isolate_this_process()
    except IsolationError as error:
        require(False, str(error))
    folder = tmp_path_factory.mktemp("lab")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o711)  # FRR's daemons have a user of their own
    options = LabOptions(control_plane="real", kubernetes_version="1.34", router="frr")
    with Lab(folder, options) as lab:
        rig = Rig(lab)
        for node in NODES:
            lab.start_speaker(node)
        lab.start_controller()
        rig.apply_config()
        poll_until(rig.is_ready, what="every daemon has a configuration")
        yield rig
