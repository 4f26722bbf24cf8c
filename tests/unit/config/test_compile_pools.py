"""Pools that can't be, in MetalLB's words."""

from __future__ import annotations

import pytest
from support.config_text import BGP, POOL, problems

BAD_POOLS = [
    ("protocol: layer2, addresses: [10.0.0.0/24]", "missing pool name"),
    ("name: a, protocol: layer2", "pool has no prefixes defined"),
    ("name: a, protocol: layer2, addresses: []", "pool has no prefixes defined"),
    ("name: a, addresses: [10.0.0.0/24]", "address pool is missing the protocol field"),
    ("name: a, protocol: arp, addresses: [10.0.0.0/24]", 'unknown protocol "arp"'),
    (
        "name: a, protocol: bgp, addresses: [10.0.0.0/33]",
        'invalid CIDR "10.0.0.0/33" in pool "a": invalid CIDR "10.0.0.0/33"',
    ),
    ("name: a, protocol: bgp, addresses: [10.0.0.1]", 'invalid CIDR "10.0.0.1" in pool "a"'),
    (
        "name: a, protocol: bgp, addresses: [10.0.0.2-10.0.0.1]",
        'start IP "10.0.0.2" is after the end IP "10.0.0.1"',
    ),
    (
        "name: a, protocol: bgp, addresses: [10.0.0.0/24, 10.0.0.7-10.0.0.8]",
        'CIDR "10.0.0.7/32" in pool "a" overlaps with already defined CIDR "10.0.0.0/24"',
    ),
    (
        f"{POOL}, bgp-advertisements: [{{localpref: 1}}]",
        "cannot have bgp-advertisements configuration element in a layer2 address pool",
    ),
    (f"{BGP}, bgp-advertisements: [{{aggregation-length: 33}}]", "invalid aggregation length 33"),
    (
        f"{BGP}, bgp-advertisements: [{{aggregation-length-v6: 129}}]",
        "invalid aggregation length 129 for IPv6",
    ),
    (
        f"{BGP}, bgp-advertisements: [{{aggregation-length: 24}}]",
        "invalid aggregation length 24: prefix 10.0.0.0/28 in this pool is more specific than",
    ),
    (
        f"{BGP}, bgp-advertisements: [{{communities: [x]}}]",
        'invalid community "x" in BGP advertisement: invalid community string "x"',
    ),
    (
        f"{BGP}, bgp-advertisements: [{{communities: [1:1, 1:1]}}]",
        'duplicate definition of community "1:1"',
    ),
    (
        f"{BGP}, bgp-advertisements: [{{localpref: 1}}, {{}}, {{localpref: 1}}]",
        "duplicate definition of bgpadvertisements. advertisement 1 and 3 are equal",
    ),
    (f"{POOL}, auto-assign: 'true'", "cannot unmarshal !!str `true` into bool"),
    ("name: a, protocol: bgp, addresses: 10.0.0.0/24", "into []string"),
]


@pytest.mark.parametrize(("pool", "told"), BAD_POOLS)
def test_what_is_no_pool(pool: str, told: str) -> None:
    (found,) = problems(f"address-pools:\n- {{{pool}}}\n")
    assert told in found[2]
    assert found[0] == 2
    assert found[1].startswith("address-pools[0]")


def test_a_range_may_aggregate_to_its_largest_block() -> None:
    pool = "name: a, protocol: bgp, addresses: [10.0.0.0-10.0.0.130]"
    assert not problems(
        f"address-pools: [{{{pool}, bgp-advertisements: [{{aggregation-length: 25}}]}}]"
    )
