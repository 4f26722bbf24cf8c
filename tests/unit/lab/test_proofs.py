"""Table of the proofs."""

from __future__ import annotations

from metallb_py.lab.proofs import Result, table


def test_every_proof_is_one_line_and_failures_are_marked() -> None:
    results = [
        Result("web", "192.0.2.1", "layer2", "node1", "one node answers ARP", True, 12),
        Result("db", "198.51.100.1", "bgp", "", "FRR has the /32", False, 15000, "next hops: "),
    ]
    assert table(results).splitlines() == [
        "service  address       protocol  announced by  proof                     ms",
        "web      192.0.2.1     layer2    node1         ok: one node answers ARP  12",
        "db       198.51.100.1  bgp                     FAILED: FRR has the /32   15000",
    ]
