"""Time to read a large configuration, compared with libyaml's time to parse the same text."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import yaml

from metallb_py.config.compile.read_config import read_config

POOLS = 500
ROUNDS = 3


def text() -> str:
    lines = ["peers:"]
    for number in range(50):
        lines += [
            f"- peer-address: 172.30.0.{number + 1}",
            "  peer-asn: 64501",
            "  my-asn: 64500",
            "  hold-time: 90s",
            "  node-selectors: [{match-labels: {rack: r1}}]",
        ]
    lines.append("address-pools:")
    for number in range(POOLS):
        lines += [
            f"- name: pool-{number}",
            "  protocol: bgp",
            f"  addresses: [10.{number // 256}.{number % 256}.0/24]",
            "  bgp-advertisements:",
            "  - {aggregation-length: 32, localpref: 100, communities: ['64512:1']}",
        ]
    return "\n".join(lines)


def best(read: Callable[[str], object], written: str) -> float:
    """Return the shortest CPU time of a few runs, in seconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        read(written)
        times.append(time.process_time() - began)
    return min(times)


def test_time_to_read_a_large_configuration() -> None:
    loader = getattr(yaml, "CSafeLoader", None)
    if loader is None:
        pytest.skip("missing: PyYAML with libyaml")
    written = text()
    ours = best(read_config, written)
    baseline = best(lambda given: yaml.load(given, Loader=loader), written)
    print("\nCPU seconds, best of", ROUNDS)
    print(
        f"{len(written.splitlines())} lines: read_config {ours:.3f} s, "
        f"libyaml's safe loader {baseline:.3f} s, {ours / baseline:.1f} times as long"
    )
