"""Answers in a second, against those of the Linux kernel on the same cable.

Both are asked by the same program in the same minute, in turn, over one veth pair. ``again``: the
same hosts ask again, as neighbors do whose caches expire; ``new``: every request comes from an
address that was not seen lately.

An asker and a responder want two cores, the kernel's answers are made on the asker's. Where others
want these, too, that halves our figure, so what each would reach ``with a core each`` is reckoned
from the processor time that they took.

Measured on two cores that others used, too, as median ratios (best; with a core each): ARP, 40
addresses 0.61 (1.07; 0.97), 1,000 addresses 0.70 (1.15; 0.95), new 0.38 (0.85; 0.59); neighbor
discovery, 40 addresses 1.42 (1.48; 1.42), 1,000 addresses 1.11 (1.16; 1.77), new 0.59 (3.64; 0.73).
With little else running, ARP reached 1.01 and 1.03, new 0.61.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from statistics import median
from typing import TypeVar

import pytest
from support.layer2_load import Asker, Rate, arp_asker, arp_requests, nd_asker, solicitations
from support.layer2_process import running_process
from support.layer2_wire import Wire, wire

ROUNDS = int(os.environ.get("METALLB_PY_BENCH_ROUNDS", "5"))
SECONDS = 1.0
IN_FLIGHT = 40
ASKED = 40
STRANGERS = 500

V4 = [str(IPv4Address("10.1.0.0") + 2 * n) for n in range(1000)]
V6 = [str(IPv6Address("2001:db8::1:0") + 2 * n) for n in range(1000)]
V4_STRANGERS = [str(IPv4Address("192.0.2.0") + n) for n in range(STRANGERS)]
T = TypeVar("T")
V6_STRANGERS = [str(IPv6Address("fe80::5:0") + n) for n in range(STRANGERS)]


def of_kernel(cables: Wire, addresses: Sequence[str], work: Callable[[], T]) -> T:
    """Do some work while the node's kernel has these addresses."""
    length, nodad = (32, "") if "." in addresses[0] else (128, "nodad")
    lines = [f"{a}/{length} dev eth0 {nodad}" for a in addresses]
    cables.batch("".join(f"address add {line}\n" for line in lines))
    try:
        return work()
    finally:
        cables.batch("".join(f"address del {line}\n" for line in lines).replace("nodad", ""))


def compare(
    cables: Wire, asker: Asker, addresses: Sequence[str], requests: Sequence[bytes], title: str
) -> None:
    """Print both sides' rates and their ratio, of each round and the median."""

    def rate() -> Rate:
        asker.until_answered(requests[0])
        return asker.rate(requests, IN_FLIGHT, SECONDS)

    measured, undisturbed = [], []
    for _ in range(ROUNDS):
        kernel = of_kernel(cables, addresses, rate)
        with running_process() as process:
            process.own(addresses)
            asker.until_answered(requests[0])
            busy, ours = process.busy(), rate()
            busy = process.busy() - busy
        measured.append(ours.measured / kernel.measured)
        undisturbed.append(ours.undisturbed(busy) / kernel.undisturbed())
        print(
            f"{title}: kernel {kernel.measured:,.0f}/s, ours {ours.measured:,.0f}/s, ratio"
            f" {measured[-1]:.2f}; with a core each: kernel {kernel.undisturbed():,.0f}/s,"
            f" ours {ours.undisturbed(busy):,.0f}/s, ratio {undisturbed[-1]:.2f}"
        )
    print(
        f"{title}: median ratio {median(measured):.2f}, best {max(measured):.2f};"
        f" with a core each {median(undisturbed):.2f}"
    )


@pytest.mark.parametrize("count", [40, 1000])
def test_arp(count: int) -> None:
    with wire() as cables, arp_asker(cables) as asker:
        again = arp_requests(asker.mac, V4[:ASKED])
        compare(cables, asker, V4[:count], again, f"arp, {count} addresses, again")


def test_arp_of_strangers() -> None:
    with wire() as cables, arp_asker(cables) as asker:
        new = arp_requests(asker.mac, V4[:ASKED], V4_STRANGERS)
        compare(cables, asker, V4[:ASKED], new, "arp, 40 addresses, new")


@pytest.mark.parametrize("count", [40, 1000])
def test_neighbor_discovery(count: int) -> None:
    with wire(ipv6=True) as cables, nd_asker(cables) as asker:
        again = solicitations(asker.mac, V6[:ASKED])
        compare(cables, asker, V6[:count], again, f"nd, {count} addresses, again")


def test_neighbor_discovery_of_strangers() -> None:
    with wire(ipv6=True) as cables, nd_asker(cables) as asker:
        new = solicitations(asker.mac, V6[:ASKED], V6_STRANGERS)
        compare(cables, asker, V6[:ASKED], new, "nd, 40 addresses, new")
