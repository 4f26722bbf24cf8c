"""Election of the node that answers for an address, byte for byte MetalLB's.

So clusters with speakers of both kinds agree. Short: the rule alone, on which all speakers agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from metallb_py.addresses import IPAddress


def ranked(address: IPAddress, candidates: Iterable[str]) -> tuple[str, ...]:
    """Return the candidate nodes, the owner first.

    The order is that of the raw SHA-256 digests of ``<node>#<address>``, ascending. Every node
    computes the same order from the same candidates, without any message exchanged; if a node
    leaves, only the addresses that it owned move.
    """
    suffix = f"#{address}".encode()
    return tuple(sorted(set(candidates), key=lambda node: sha256(node.encode() + suffix).digest()))


def reporter(service: str, speakers: Iterable[str]) -> str:
    """Return the speaker that reports on a service; every speaker computes the same one."""
    suffix = f"#{service}".encode()
    return min(speakers, key=lambda node: sha256(node.encode() + suffix).digest())
