"""Which node answers on layer 2."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from metallb_py.kube.endpoints import ServiceEndpoints
from speaker.layer2.eligibility import eligible

ADDRESS = ip_address("10.20.30.1")  # node1, node2, node3 in this order
NODES = ("node1", "node2", "node3")


def winners(endpoints: ServiceEndpoints, speakers: tuple[str, ...], *, local: bool) -> list[str]:
    return [
        node for node in NODES if eligible(endpoints, ADDRESS, node, speakers, local=local).positive
    ]


@pytest.mark.parametrize(
    ("endpoints", "speakers", "local", "expected"),
    [
        (ServiceEndpoints(1, frozenset({"node3"})), NODES, False, ["node1"]),
        (ServiceEndpoints(1, frozenset({"node3"})), NODES, True, ["node3"]),
        (ServiceEndpoints(2, frozenset({"node3", "node2"})), NODES, True, ["node2"]),
        (ServiceEndpoints(1, frozenset({"node3"})), NODES[1:], False, ["node2"]),
        (ServiceEndpoints(1, frozenset({"node3"})), NODES[:2], True, []),
        (ServiceEndpoints(1), NODES, True, []),
        (ServiceEndpoints(1), NODES, False, ["node1"]),
        (ServiceEndpoints(), NODES, False, []),
        (ServiceEndpoints(1, frozenset({"node1"})), (), False, []),
    ],
)
def test_one_node_wins_at_the_most(
    endpoints: ServiceEndpoints, speakers: tuple[str, ...], local: bool, expected: list[str]
) -> None:
    assert winners(endpoints, speakers, local=local) == expected
