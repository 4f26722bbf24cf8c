"""Programs that do kube-proxy's job on the lab's nodes; apart, as ``proxy`` is one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from metallb_py.lab.binaries import Kubernetes, find
from metallb_py.lab.network import PODS_CIDR, Node
from metallb_py.lab.processes import LabError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A program that forwards service addresses to pods; one runs on every node."""

    description: str
    command: Callable[[Node, Path], list[str]]


def choose(choice: str, kubernetes: Kubernetes | None) -> Proxy:
    """Return the chosen proxy; ``auto`` takes the first that is installed. Raises LabError."""
    kube_proxy = kubernetes.proxy if kubernetes and find("iptables") else None
    nft = find("nft")
    if kube_proxy is not None and choice in ("auto", "kube-proxy"):
        return Proxy("kube-proxy", lambda node, path: _kube_proxy(kube_proxy, node, path))
    if choice == "kube-proxy":
        raise LabError("--proxy=kube-proxy: want kube-proxy, a real control plane and iptables")
    if nft is not None and choice in ("auto", "nft"):
        return Proxy("nftables in kube-proxy's place", lambda _, path: _own(path, str(nft)))
    if choice == "nft":
        raise LabError("--proxy=nft: nft is not installed")
    return Proxy("a TCP relay in kube-proxy's place", lambda _, path: _own(path))


def _kube_proxy(program: Path, node: Node, kubeconfig: Path) -> list[str]:
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={node.name}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={PODS_CIDR}",
        # These settings are the whole machine's, and a namespace must not change them.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
        "--iptables-min-sync-period=0s",
    ]


def _own(kubeconfig: Path, *nft: str) -> list[str]:
    return [sys.executable, "-m", "metallb_py.lab.proxy", str(kubeconfig), *nft]
