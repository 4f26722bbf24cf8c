"""Invalid address pools, with MetalLB's error messages."""

from __future__ import annotations

import itertools
from ipaddress import ip_network

import pytest
from support.kube.config_text import BGP, POOL, problems

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


@pytest.mark.parametrize(("pool", "expected"), BAD_POOLS)
def test_invalid_pool_is_reported(pool: str, expected: str) -> None:
    (found,) = problems(f"address-pools:\n- {{{pool}}}\n")
    assert expected in found[2]
    assert found[0] == 2
    assert found[1].startswith("address-pools[0]")


def test_range_of_mixed_address_families_is_reported() -> None:
    (found,) = problems("address-pools: [{name: a, protocol: bgp, addresses: [10.0.0.1-fd00::1]}]")
    assert 'invalid IP range "10.0.0.1-fd00::1"' in found[2]


def test_each_invalid_cidr_is_reported_with_its_line() -> None:
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


def test_overlap_error_names_both_pools() -> None:
    (found,) = problems(
        f"address-pools: [{{{POOL}}}, {{name: b, protocol: bgp, addresses: [10.0.0.0/8]}}]"
    )
    assert found[1] == 'address-pools[1] "b".addresses[0]'
    assert found[2] == (
        'CIDR "10.0.0.0/8" in pool "b" overlaps with already defined CIDR "10.0.0.0/24" '
        'in pool "a": want each address once'
    )


def test_overlap_check_agrees_with_comparing_all_pairs() -> None:
    blocks = [ip_network((start << 24, length)) for start in range(1, 5) for length in (8, 9, 32)]
    for first, second, third in itertools.permutations(blocks, 3):
        clash = first.overlaps(second) or first.overlaps(third) or second.overlaps(third)
        addresses = f"addresses: [{first}, {second}, {third}]"
        found = problems(f"address-pools: [{{name: a, protocol: layer2, {addresses}}}]")
        assert bool(found) == clash


def test_number_of_blocks_in_pools_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MAX_BLOCKS", 1000)
    widest = "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
    text = f"x: &x {widest}\naddress-pools: [{{name: a, addresses: [{'*x, ' * 9}]}}]"
    assert any("more than 1000 blocks" in message for _, _, message in problems(text))


def test_communities_are_not_checked_against_unparsable_aliases() -> None:
    pools = f"address-pools: [{{{BGP}, bgp-advertisements: [communities: [x]]}}]"
    assert len(problems(f"bgp-communities: {{x: [1]}}\n{pools}")) == 1
    assert len(problems(f"bgp-communities: 1\n{pools}")) == 1


def test_absent_key_differs_from_its_explicit_default() -> None:
    ads = "bgp-advertisements: [{}, {aggregation-length: 32}, {communities: []}]"
    assert not problems(f"address-pools: [{{{BGP}, {ads}}}]")


def test_aggregation_length_may_be_that_of_the_largest_block() -> None:
    pool = "name: a, protocol: bgp, addresses: [10.0.0.0-10.0.0.130]"
    assert not problems(
        f"address-pools: [{{{pool}, bgp-advertisements: [{{aggregation-length: 25}}]}}]"
    )


def advertised(first: int, count: int, length: int) -> str:
    communities = ", ".join(f"1:{n}" for n in range(first, first + count))
    return f"{{aggregation-length: {length}, communities: [{communities}]}}"


def oversized(*pools: str) -> list[tuple[str, str]]:
    found = problems(f"address-pools: [{', '.join(pools)}]")
    return [(path, message.partition(": want")[0]) for _, path, message in found]


def test_communities_exceeding_one_update_message_are_reported() -> None:
    def reported(*advertisements: str) -> list[str]:
        found = oversized(f"{{{BGP}, bgp-advertisements: [{', '.join(advertisements)}]}}")
        return [message.rpartition(": ")[2] for _, message in found]

    assert reported(advertised(0, 900, 32)) == []
    assert reported(advertised(0, 900, 32), advertised(900, 1, 28)) == []
    assert reported(advertised(0, 897, 32), "{large-communities: ['1:2:3']}") == []
    assert reported(advertised(0, 898, 32), "{large-communities: ['1:2:3']}") == [
        "3604 bytes of communities for 10.0.0.0/32"
    ]
    assert reported(advertised(0, 900, 32), advertised(900, 1, 32)) == [
        "3604 bytes of communities for 10.0.0.0/32"
    ]


def test_communities_of_pools_sharing_an_aggregate_add_up() -> None:
    """The first two pools are each a /24 and one half of another /24, which they share."""
    ranges = ("10.0.0.0-10.0.1.127", "10.0.1.128-10.0.2.255", "10.0.3.0-10.0.3.255")
    pools = [
        f"{{name: p{n}, protocol: bgp, addresses: [{block}], bgp-advertisements: "
        f"[{advertised(500 * n, 500, 24)}]}}"
        for n, block in enumerate(ranges)
    ]
    assert oversized(*pools) == [
        (
            f'address-pools[{n}] "p{n}".bgp-advertisements',
            f"parsing address pool #{n + 1}: 4000 bytes of communities for 10.0.1.0/24",
        )
        for n in (0, 1)
    ]
    assert oversized(*pools[1:]) == []
