"""Which router the lab takes; that each one routes is shown end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metallb_py.lab import binaries, routers
from metallb_py.lab.processes import LabError, Programs


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have neither FRR nor BIRD."""
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


def chosen(wish: str, machine: Path, *, other_users: bool = True) -> str:
    return routers.choose(wish, Programs(machine), other_users=other_users).description


def test_frr_then_bird_then_our_own(machine: Path) -> None:
    assert chosen("auto", machine) == "built-in route collector"
    install(machine, "bird")
    assert chosen("auto", machine) == "BIRD"
    install(machine, "vtysh", "frr/bgpd")
    assert chosen("auto", machine) == "FRR"
    assert chosen("bird", machine) == "BIRD"
    assert chosen("builtin", machine) == "built-in route collector"


def test_without_root_it_is_our_own(machine: Path) -> None:
    install(machine, "bird", "vtysh", "frr/bgpd")
    assert chosen("auto", machine, other_users=False) == "built-in route collector"


@pytest.mark.parametrize("wish", ["frr", "bird"])
def test_a_wish_that_cannot_be_met(machine: Path, wish: str) -> None:
    with pytest.raises(LabError, match=f"--router={wish}: not installed"):
        chosen(wish, machine)


def test_what_the_collector_wrote(machine: Path) -> None:
    router = routers.choose("builtin", Programs(machine), other_users=False)
    routes = {"198.51.100.1/32": ["172.30.0.11", "172.30.0.12"]}
    (machine / "routes.json").write_text(json.dumps(routes))
    assert router.next_hops("198.51.100.1/32") == {"172.30.0.11", "172.30.0.12"}
    assert router.next_hops("198.51.100.2/32") == set()
