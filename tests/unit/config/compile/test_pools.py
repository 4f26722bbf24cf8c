"""Pools that can't be, in MetalLB's words."""

from __future__ import annotations

import itertools
from ipaddress import ip_network

import pytest
from support.config_text import BGP, POOL, problems

from metallb_py.config.compile import pools

BAD_POOLS = [
    (f"{POOL}, interfaces: ['eth[']", 'invalid interface "eth[": missing ]: [: want a name'),
    (f"{POOL}, interfaces: ['eth{{99999999999}}']", "want at most 1000 times"),
    (f"{POOL}, interfaces: ['{'(' * 3000}{')' * 3000}']", "6000 characters: want at most 256"),
    (f"{POOL}, interfaces: ['(eth).*\\1']", "want a regular expression in RE2's syntax"),
    (f"{POOL}, interfaces: eth0", "into []string"),
    (f"{BGP}, interfaces: [eth0]", "cannot have interfaces in a bgp address pool"),
    (f"{BGP}, node-selectors: [{{}}]", "cannot have node-selectors in a bgp address pool"),
    (
        f"{POOL}, node-selectors: [{{match-labels: {{a: 'b c'}}}}]",
        'parsing node selector: values: "b c"',
    ),
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


def test_mixed_families_in_a_range_are_no_pool() -> None:
    (found,) = problems("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.1-fd00::1]}]")
    assert 'invalid IP range "10.0.0.1-fd00::1"' in found[2]


def test_each_address_has_its_place() -> None:
    found = problems(
        """\
        address-pools:
        - name: a
          protocol: layer2
          addresses:
          - 10.0.0.0/33
          - [10.0.0.0/24]
          - 10.0.0.0/24
          - fd00::/129
        """
    )
    places = [(line, path.rpartition(".")[2]) for line, path, _ in found]
    assert places == [(5, "addresses[0]"), (6, "addresses[1]"), (8, "addresses[3]")]
    assert found[0][2] == (
        'parsing address pool #1: invalid CIDR "10.0.0.0/33" in pool "a": '
        'invalid CIDR "10.0.0.0/33": want a prefix length up to 32'
    )


def test_an_overlap_names_both_pools() -> None:
    (found,) = problems(
        f"address-pools: [{{{POOL}}}, {{name: b, protocol: bgp, addresses: [10.0.0.0/8]}}]"
    )
    assert found[1] == 'address-pools[1] "b".addresses[0]'
    assert found[2] == (
        'CIDR "10.0.0.0/8" in pool "b" overlaps with already defined CIDR "10.0.0.0/24" '
        'in pool "a": want each address once'
    )


def test_overlaps_are_found_as_by_comparing_all_with_all() -> None:
    blocks = [ip_network((start << 24, length)) for start in range(1, 5) for length in (8, 9, 32)]
    for first, second, third in itertools.permutations(blocks, 3):
        clash = first.overlaps(second) or first.overlaps(third) or second.overlaps(third)
        addresses = f"addresses: [{first}, {second}, {third}]"
        found = problems(f"address-pools: [{{name: a, protocol: layer2, {addresses}}}]")
        assert bool(found) == clash


def test_pools_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_BLOCKS", 1000)
    widest = "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
    text = f"x: &x {widest}\naddress-pools: [{{name: a, addresses: [{'*x, ' * 9}]}}]"
    assert any("more than 1000 blocks" in message for _, _, message in problems(text))


def test_communities_are_not_checked_against_aliases_that_could_not_be_read() -> None:
    pools = f"address-pools: [{{{BGP}, bgp-advertisements: [communities: [x]]}}]"
    assert len(problems(f"bgp-communities: {{x: [1]}}\n{pools}")) == 1
    assert len(problems(f"bgp-communities: 1\n{pools}")) == 1


def test_a_key_that_is_not_set_differs_from_its_default() -> None:
    ads = "bgp-advertisements: [{}, {aggregation-length: 32}, {communities: []}]"
    assert not problems(f"address-pools: [{{{BGP}, {ads}}}]")


def test_a_range_may_aggregate_to_its_largest_block() -> None:
    pool = "name: a, protocol: bgp, addresses: [10.0.0.0-10.0.0.130]"
    assert not problems(
        f"address-pools: [{{{pool}, bgp-advertisements: [{{aggregation-length: 25}}]}}]"
    )


def advertised(first: int, count: int, length: int) -> str:
    communities = ", ".join(f"1:{n}" for n in range(first, first + count))
    return f"{{aggregation-length: {length}, communities: [{communities}]}}"


def too_many(*pools: str) -> list[tuple[str, str]]:
    found = problems(f"address-pools: [{', '.join(pools)}]")
    return [(path, message.partition(": want")[0]) for _, path, message in found]


def test_more_communities_than_a_message_holds() -> None:
    def told(*advertisements: str) -> list[str]:
        found = too_many(f"{{{BGP}, bgp-advertisements: [{', '.join(advertisements)}]}}")
        return [message.rpartition(": ")[2] for _, message in found]

    assert told(advertised(0, 900, 32)) == []
    assert told(advertised(0, 900, 32), advertised(900, 1, 28)) == []
    assert told(advertised(0, 897, 32), "{large-communities: ['1:2:3']}") == []
    assert told(advertised(0, 898, 32), "{large-communities: ['1:2:3']}") == [
        "3604 bytes of communities for 10.0.0.0/32"
    ]
    assert told(advertised(0, 900, 32), advertised(900, 1, 32)) == [
        "3604 bytes of communities for 10.0.0.0/32"
    ]


def test_pools_that_share_an_aggregate_share_its_communities() -> None:
    """Each is a /24 and the half of another, which the two of them share."""
    ranges = ("10.0.0.0-10.0.1.127", "10.0.1.128-10.0.2.255", "10.0.3.0-10.0.3.255")
    pools = [
        f"{{name: p{n}, protocol: bgp, addresses: [{block}], bgp-advertisements: "
        f"[{advertised(500 * n, 500, 24)}]}}"
        for n, block in enumerate(ranges)
    ]
    assert too_many(*pools) == [
        (
            f'address-pools[{n}] "p{n}".bgp-advertisements',
            f"parsing address pool #{n + 1}: 4000 bytes of communities for 10.0.1.0/24",
        )
        for n in (0, 1)
    ]
    assert too_many(*pools[1:]) == []
