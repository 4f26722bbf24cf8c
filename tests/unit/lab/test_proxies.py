"""Choice of the program in kube-proxy's place, by installed programs and by the --proxy option."""

from __future__ import annotations

from pathlib import Path

import pytest

from metallb_py.lab import binaries
from metallb_py.lab.binaries import Kubernetes
from metallb_py.lab.network import NODES
from metallb_py.lab.processes import LabError
from metallb_py.lab.proxies import choose

KUBECONFIG = Path("/lab/kube-proxy.kubeconfig")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide a machine with only the programs that a test installs in it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", str(tmp_path))
    return tmp_path


def install(machine: Path, name: str) -> Path:
    file = machine / name
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def kubernetes(machine: Path) -> Kubernetes:
    program = machine / "x"
    return Kubernetes("1.34.4", program, program, program, machine / "kube-proxy")


def test_kube_proxy_is_chosen_where_it_can_work(machine: Path) -> None:
    install(machine, "iptables")
    install(machine, "nft")
    proxy = choose("auto", kubernetes(machine))
    assert proxy.description == "kube-proxy"
    line = proxy.command(NODES[0], KUBECONFIG)
    assert line[0] == str(machine / "kube-proxy")
    assert {"--hostname-override=node1", f"--kubeconfig={KUBECONFIG}"} <= set(line)


def test_nftables_is_chosen_without_kube_proxy_or_without_iptables(machine: Path) -> None:
    nft = install(machine, "nft")
    for found in (None, kubernetes(machine)):
        proxy = choose("auto", found)
        assert proxy.description == "nftables in kube-proxy's place"
        assert proxy.command(NODES[0], KUBECONFIG)[-2:] == [str(KUBECONFIG), str(nft)]


def test_tcp_relay_is_chosen_where_nothing_is_installed(machine: Path) -> None:
    proxy = choose("auto", None)
    assert proxy.description == "a TCP relay in kube-proxy's place"
    assert proxy.command(NODES[0], KUBECONFIG)[-1] == str(KUBECONFIG)


def test_requested_proxy_takes_precedence(machine: Path) -> None:
    install(machine, "iptables")
    install(machine, "nft")
    assert choose("relay", kubernetes(machine)).description.startswith("a TCP relay")
    assert choose("nft", kubernetes(machine)).description.startswith("nftables")


@pytest.mark.parametrize("requested", ["kube-proxy", "nft"])
@pytest.mark.usefixtures("machine")
def test_requested_proxy_that_is_not_installed_is_an_error(requested: str) -> None:
    with pytest.raises(LabError, match=f"--proxy={requested}: "):
        choose(requested, None)
