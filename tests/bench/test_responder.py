"""Replies per second, compared with those of the Linux kernel on the same link.

The same program sends requests to both in turn, in the same minute, over one veth pair. ``again``:
the same hosts repeat their requests, like neighbors whose caches expire; ``new``: every request
comes from an address that was not seen recently.

A requester and a responder need two cores; the kernel replies on the requester's core. If other
programs need these cores, too, that halves our figure, so the rate of each ``with a core each`` is
computed from the processor time that they took.

Measured on two cores with other load, as median ratios (best; with a core each): ARP, 40
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
from support.layer2.client_link import ClientLink, client_link
from support.layer2.load import (
    Rate,
    Requester,
    arp_requester,
    arp_requests,
    nd_requester,
    solicitations,
)
from support.layer2.responder_process import running_process

ROUNDS = int(os.environ.get("METALLB_PY_BENCH_ROUNDS", "5"))
SECONDS = 1.0
IN_FLIGHT = 40
REQUESTED = 40
NEW = 500

V4 = [str(IPv4Address("10.1.0.0") + 2 * n) for n in range(1000)]
V6 = [str(IPv6Address("2001:db8::1:0") + 2 * n) for n in range(1000)]
V4_NEW = [str(IPv4Address("192.0.2.0") + n) for n in range(NEW)]
T = TypeVar("T")
V6_NEW = [str(IPv6Address("fe80::5:0") + n) for n in range(NEW)]


def of_kernel(cables: ClientLink, addresses: Sequence[str], work: Callable[[], T]) -> T:
    """Call a function while the node's kernel has these addresses."""
    length, nodad = (32, "") if "." in addresses[0] else (128, "nodad")
    lines = [f"{a}/{length} dev eth0 {nodad}" for a in addresses]
    cables.batch("".join(f"address add {line}\n" for line in lines))
    try:
        return work()
    finally:
        cables.batch("".join(f"address del {line}\n" for line in lines).replace("nodad", ""))


def compare(
    cables: ClientLink,
    requester: Requester,
    addresses: Sequence[str],
    requests: Sequence[bytes],
    title: str,
) -> None:
    """Print both sides' rates and their ratio, of each round and the median."""

    def rate() -> Rate:
        requester.until_answered(requests[0])
        return requester.rate(requests, IN_FLIGHT, SECONDS)

    measured, undisturbed = [], []
    for _ in range(ROUNDS):
        kernel = of_kernel(cables, addresses, rate)
        with running_process() as process:
            process.own(addresses)
            requester.until_answered(requests[0])
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
def test_arp_replies_per_second(count: int) -> None:
    with client_link() as cables, arp_requester(cables) as requester:
        again = arp_requests(requester.mac, V4[:REQUESTED])
        compare(cables, requester, V4[:count], again, f"arp, {count} addresses, again")


def test_arp_replies_per_second_to_new_hosts() -> None:
    with client_link() as cables, arp_requester(cables) as requester:
        new = arp_requests(requester.mac, V4[:REQUESTED], V4_NEW)
        compare(cables, requester, V4[:REQUESTED], new, "arp, 40 addresses, new")


@pytest.mark.parametrize("count", [40, 1000])
def test_neighbor_discovery_replies_per_second(count: int) -> None:
    with client_link(ipv6=True) as cables, nd_requester(cables) as requester:
        again = solicitations(requester.mac, V6[:REQUESTED])
        compare(cables, requester, V6[:count], again, f"nd, {count} addresses, again")


def test_neighbor_discovery_replies_per_second_to_new_hosts() -> None:
    with client_link(ipv6=True) as cables, nd_requester(cables) as requester:
        new = solicitations(requester.mac, V6[:REQUESTED], V6_NEW)
        compare(cables, requester, V6[:REQUESTED], new, "nd, 40 addresses, new")
