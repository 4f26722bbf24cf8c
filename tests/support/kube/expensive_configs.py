"""Configurations that are expensive to parse: named texts, and functions of a size for scaling."""

from __future__ import annotations

from collections.abc import Callable

WIDEST = "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
EMPTY_POOL = "name: a, protocol: bgp, addresses: [10.0.0.0/24]"


def _communities(count: int, high: int = 1) -> str:
    return ", ".join(f"'{high}:{n}'" for n in range(count))


def _pools(count: int, more: str = "") -> str:
    return "address-pools:\n" + "".join(
        f"- {{name: p{n}, protocol: bgp, addresses: [10.{n >> 8 & 255}.{n & 255}.0/28]{more}}}\n"
        for n in range(count)
    )


def pools(size: int) -> str:
    """Return many pools."""
    return _pools(10 * size)


def lengths(size: int) -> str:
    """Return ranges of many blocks, many aggregation lengths, and too many communities."""
    ranges = ", ".join(
        f"'2001:db8:{n:x}::1-2001:db8:{n:x}:7fff:ffff:ffff:ffff:ffff'" for n in range(size)
    )
    advertisements = "".join(
        f"  - {{aggregation-length-v6: {128 - n % 70}, localpref: {n}, communities: *c}}\n"
        for n in range(size)
    )
    return (
        f"address-pools:\n- name: p\n  protocol: bgp\n  addresses: [{ranges}]\n"
        f"  bgp-advertisements:\n  - communities: &c [{_communities(901)}]\n{advertisements}"
    )


def many_advertisements(size: int) -> str:
    """Return one pool of many addresses with many advertisements."""
    blocks = ", ".join(f"10.0.{n >> 8}.{n & 255}/32" for n in range(5 * size))
    advertisements = "".join(
        f"  - {{localpref: {n}, communities: ['2:{n}']}}\n" for n in range(5 * size)
    )
    return (
        f"address-pools:\n- name: p\n  protocol: bgp\n  addresses: [{blocks}]\n"
        f"  bgp-advertisements:\n  - communities: [{_communities(901)}]\n{advertisements}"
    )


def shared_aliases(size: int) -> str:
    """Return many pools that share one list of communities by an alias."""
    more = f", bgp-advertisements: [{{communities: &c [{_communities(901)}]}}]"
    first, *rest = _pools(size).splitlines()[1:]
    return "\n".join(
        [
            "address-pools:",
            f"{first[:-1]}{more}}}",
            *(f"{line[:-1]}, bgp-advertisements: [{{communities: *c}}]}}" for line in rest),
        ]
    )


def overlaps(size: int) -> str:
    """Return many pools of the same addresses."""
    return "address-pools:\n" + (f"- {{{EMPTY_POOL}}}\n" * (10 * size))


def unknown_peers(size: int) -> str:
    """Return many peers, and an advertisement for as many unknown peers."""
    routers = "".join(
        f"- {{my-asn: 1, peer-asn: 2, peer-address: 10.0.{n >> 8}.{n & 255}, name: r{n}}}\n"
        for n in range(10 * size)
    )
    names = ", ".join(f"x{n}" for n in range(10 * size))
    more = f", bgp-advertisements: [{{peers: [{names}]}}]"
    return f"peers:\n{routers}{_pools(1, more)}"


def equal_peers(size: int) -> str:
    """Return one peer many times."""
    return "peers:\n" + "- {my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1}\n" * (10 * size)


def deep_aliases(size: int) -> str:
    """Return many aliases at the bottom of a deeply nested list."""
    return f"- &a 1\n- {'[' * 150}{'*a,' * (100 * size)}{']' * 150}"


def self_merges(size: int) -> str:
    """Return mappings that merge each other."""
    merged = "".join(f"- &m{n} {{<<: *m{n - 1}, k{n}: 1}}\n" for n in range(1, size))
    return f"- &m0 {{a: 1}}\n{merged}"


def duplicate_keys(size: int) -> str:
    """Return one key many times."""
    return "peers: []\n" * (50 * size)


def selectors(size: int) -> str:
    """Return a peer with many node selectors."""
    terms = ", ".join(f"{{match-labels: {{rack: r{n}}}}}" for n in range(5 * size))
    return f"peers: [{{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, node-selectors: [{terms}]}}]"


GROWING: dict[str, Callable[[int], str]] = {
    make.__name__: make
    for make in (
        pools,
        lengths,
        many_advertisements,
        shared_aliases,
        overlaps,
        unknown_peers,
        equal_peers,
        deep_aliases,
        duplicate_keys,
        selectors,
    )
}

TEXTS = {
    "nested sequences": "[" * 100_000,
    "nested mappings": "{a: " * 100_000,
    "nested blocks": "- " * 100_000,
    "nested complex keys": "? " * 100_000,
    "closed nesting": "[" * 5000 + "]" * 5000,
    "billion laughs": "a0: &a0 [x, x]\n"
    + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 64)),
    "an anchor that contains itself": "a: &a [*a]",
    "a merge of itself": "a: &a {<<: *a}",
    "a merge of a scalar": "peers: [{<<: 1}]",
    "merges of merges": self_merges(200),
    "an unknown alias": "peers: *nothing",
    "NUL": "peers: \0",
    "a tab": "peers:\n\t- x",
    "a byte order mark": "\ufeffpeers: []",
    "half of a surrogate pair": 'address-pools: [{name: "\\ud800"}]',
    "a raw surrogate": "address-pools: [{name: \ud800}]",
    "huge integer": f"peers: [{{my-asn: {'9' * 100_000}}}]",
    "huge hexadecimal integer": f"peers: [{{my-asn: 0x{'f' * 100_000}}}]",
    "huge exponent": "peers: [{my-asn: 1e999999999}]",
    "NaN": "peers: [{my-asn: .nan, peer-asn: .inf, peer-port: -.inf}]",
    "timestamp": "peers: [{my-asn: 2026-11-28, peer-address: 2026-11-28T01:02:03Z}]",
    "sexagesimal": "peers: [{my-asn: '1:1', peer-asn: 64512:1}]",
    "binary": "peers: [{password: !!binary aGk=, peer-address: !!binary '!'}]",
    "python tag": "peers: !!python/object/apply:os.system ['true']",
    "complex key": "? [a, b]\n: c",
    "tag directives": "".join(f"%TAG !{n}! x\n" for n in range(60_000)) + "--- {}\n",
    "a directive": "%YAML 9.9\n--- {}",
    "many documents": "---\n" * 100_000,
    "one long line": "x" * 1_048_576,
    "blank lines": "\n" * 1_048_576,
    "blanks": " " * 1_048_576,
    "quotes": '"' * 1_048_576,
    "colons": "a:" * 500_000,
    "open braces and words": "{" * 150 + "a, " * 100_000,
    "anchors": "[" + ", ".join(f"&a{n} x" for n in range(50_000)) + "]",
    "too much text": "x" * 2_000_000,
    "whole IPv4": f"address-pools: [{{{EMPTY_POOL.replace('10.0.0.0/24', '0.0.0.0/0')}}}]",
    "whole IPv4 as a range": "address-pools: [{name: a, addresses: [0.0.0.0-255.255.255.255]}]",
    "whole IPv6": "address-pools: [{name: a, protocol: layer2, addresses: ['::/0']}]",
    "IPv6 in many blocks": f"address-pools: [{{name: a, addresses: [{WIDEST}]}}]",
    "the same many times": f"address-pools: [{{name: a, addresses: [{f'{WIDEST}, ' * 10_000}]}}]",
    "100,000 pools": "address-pools: [" + "{}," * 100_000 + "]",
    "100,000 peers": "peers: [" + "{}," * 100_000 + "]",
    "100,000 communities": "bgp-communities: {"
    + ", ".join(f"c{n}: '1:1'" for n in range(90_000))
    + "}",
    "a long number in an address": f"address-pools: [{{name: a, addresses: [{'1' * 100_000}/8]}}]",
    "a long prefix length": f"address-pools: [{{name: a, addresses: [10.0.0.0/{'1' * 100_000}]}}]",
    "a long zero": f"address-pools: [{{name: a, addresses: [{'0' * 100_000}.0.0.0/8]}}]",
    "a long duration": f"peers: [{{hold-time: {'1h' * 100_000}}}]",
    "a long fraction": f"peers: [{{hold-time: 1.{'1' * 100_000}s}}]",
    "a long community": f"bgp-communities: {{a: '{'1' * 100_000}:1'}}",
    "a long pattern": f"address-pools: [{{interfaces: ['{'(' * 50_000}{')' * 50_000}']}}]",
    "a long domain": f"peers: [{{node-selectors: [{{match-labels: {{{'a.' * 50_000}/b: c}}}}]}}]",
}
