"""100,000 addresses from a /12: allocated, half of them released at random, allocated again."""

from __future__ import annotations

import heapq
import time
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from random import Random
from typing import Protocol

from support.kube.assignment import allocate
from support.kube.objects import pool

from controller.allocator import Allocator
from controller.requests import ServiceRequest
from metallb_py.addresses import AddressFamily

COUNT = 100_000
PREFIX = "10.64.0.0/12"
V4 = ServiceRequest((AddressFamily.IPV4,))


class Contender(Protocol):
    def allocate(self, key: str) -> str: ...
    def release(self, key: str) -> None: ...


class Ours:
    """The controller's allocator, with all the state that it has besides the addresses."""

    def __init__(self) -> None:
        self._allocator = Allocator()
        self._allocator.set_pools((pool("a", PREFIX),))

    def allocate(self, key: str) -> str:
        return str(allocate(self._allocator, key, V4).addresses[0])

    def release(self, key: str) -> None:
        assert self._allocator.release(key)


class Baseline:
    """A minimum: a heap of released addresses, a counter, a dict. One family, one pool."""

    def __init__(self) -> None:
        network = IPv4Network(PREFIX)
        self._next = int(network.network_address)
        self._last = int(network.broadcast_address)
        self._returned: list[int] = []
        self._held: dict[str, int] = {}

    def allocate(self, key: str) -> str:
        if self._returned:
            number = heapq.heappop(self._returned)
        else:
            number, self._next = self._next, self._next + 1
            assert number <= self._last
        self._held[key] = number
        return str(IPv4Address(number))

    def release(self, key: str) -> None:
        heapq.heappush(self._returned, self._held.pop(key))


def test_allocator_with_a_hundred_thousand_addresses() -> None:
    baseline, given = seconds(Baseline())
    ours, ours_given = seconds(Ours())
    assert given == ours_given
    print(f"\n{COUNT:,} allocations, {COUNT // 2:,} releases and as many again, CPU seconds:")
    for name, took in (("allocator", ours), ("baseline", baseline)):
        print(f"  {name:10}", " + ".join(f"{part:.2f}" for part in took), f"= {sum(took):.2f}")
    print(f"  the allocator takes {sum(ours) / sum(baseline):.1f} times as long as the baseline")


def seconds(contender: Contender) -> tuple[list[float], dict[str, str]]:
    """Return the CPU seconds of each of the three phases, and the final address of each key."""
    released = Random(1).sample(range(COUNT), COUNT // 2)
    times = [time.process_time()]
    given = {f"default/s{n}": contender.allocate(f"default/s{n}") for n in range(COUNT)}
    times.append(time.process_time())
    for number in released:
        contender.release(f"default/s{number}")
        del given[f"default/s{number}"]
    times.append(time.process_time())
    given |= {f"default/t{n}": contender.allocate(f"default/t{n}") for n in range(COUNT // 2)}
    times.append(time.process_time())
    return [after - before for before, after in pairwise(times)], given
