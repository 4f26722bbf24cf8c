"""Election of the owner, as a specification. Vectors: MetalLB 0.12's hash, and sha256sum."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import permutations

from speaker.layer2.election import ranked

NODES = ("node1", "node2", "node3")


def test_metallbs_vector() -> None:
    # sha256("node1#10.20.30.1") = 1df14387..., node2 be53a9f3..., node3 bf56285d...
    assert ranked(ip_address("10.20.30.1"), NODES) == ("node1", "node2", "node3")
    assert ranked(ip_address("10.20.30.1"), NODES)[0] == "node1"


def test_vectors_made_with_sha256sum() -> None:
    # for n in node1 node2 node3; do printf '%s' "$n#$ip" | sha256sum; done
    vectors = {
        "10.20.30.2": ("node2", "node3", "node1"),
        "192.168.1.240": ("node3", "node1", "node2"),
        "203.0.113.9": ("node1", "node3", "node2"),
        "fd00::1": ("node3", "node1", "node2"),
        "2001:db8::1f": ("node1", "node2", "node3"),
    }
    for text, order in vectors.items():
        assert ranked(ip_address(text), NODES) == order


def test_an_ipv6_address_is_hashed_in_its_canonical_text() -> None:
    assert ranked(ip_address("fd00:0:0::0001"), NODES) == ranked(ip_address("fd00::1"), NODES)


def test_neither_order_nor_repetition_of_the_candidates_matters() -> None:
    address = ip_address("192.0.2.7")
    orders = {ranked(address, (*order, order[0])) for order in permutations(NODES)}
    assert len(orders) == 1
    assert len(next(iter(orders))) == 3


def test_a_leaving_node_moves_only_what_it_owned() -> None:
    for last in range(1, 200):
        address = ip_address(f"192.0.2.{last}")
        before = ranked(address, NODES)
        after = ranked(address, tuple(node for node in NODES if node != "node2"))
        assert after == tuple(node for node in before if node != "node2")


def test_an_address_without_candidates_has_no_owner() -> None:
    assert ranked(ip_address("192.0.2.1"), ()) == ()
    assert ranked(ip_address("192.0.2.1"), ()) == ()
