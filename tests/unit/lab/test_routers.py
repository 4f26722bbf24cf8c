"""Choice of the lab's router; the end-to-end tests show that each one routes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metallb_py.lab import binaries, routers
from metallb_py.lab.processes import LabError, Programs


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide a machine with neither FRR nor BIRD."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", str(tmp_path))
    monkeypatch.setattr(routers, "FRR_FOLDER", str(tmp_path / "frr"))
    return tmp_path


def install(machine: Path, *names: str) -> None:
    for name in names:
        file = machine / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)


def chosen(requested: str, machine: Path, *, other_users: bool = True) -> str:
    return routers.choose(requested, Programs(machine), other_users=other_users).description


def test_frr_is_preferred_to_bird_and_bird_to_the_built_in_router(machine: Path) -> None:
    assert chosen("auto", machine) == "built-in route collector"
    install(machine, "bird")
    assert chosen("auto", machine) == "BIRD"
    install(machine, "vtysh", "frr/bgpd")
    assert chosen("auto", machine) == "FRR"
    assert chosen("bird", machine) == "BIRD"
    assert chosen("builtin", machine) == "built-in route collector"


def test_built_in_router_is_chosen_without_root(machine: Path) -> None:
    install(machine, "bird", "vtysh", "frr/bgpd")
    assert chosen("auto", machine, other_users=False) == "built-in route collector"


@pytest.mark.parametrize("requested", ["frr", "bird"])
def test_requested_router_that_is_not_installed_is_an_error(machine: Path, requested: str) -> None:
    with pytest.raises(LabError, match=f"--router={requested}: not installed"):
        chosen(requested, machine)


def test_next_hops_are_read_from_the_collectors_file(machine: Path) -> None:
    router = routers.choose("builtin", Programs(machine), other_users=False)
    routes = {"198.51.100.1/32": ["172.30.0.11", "172.30.0.12"]}
    (machine / "routes.json").write_text(json.dumps(routes))
    assert router.next_hops("198.51.100.1/32") == {"172.30.0.11", "172.30.0.12"}
    assert router.next_hops("198.51.100.2/32") == set()
