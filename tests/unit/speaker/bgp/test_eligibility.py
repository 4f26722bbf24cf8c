"""Nodes that advertise a Service over BGP."""

from __future__ import annotations

import pytest

from metallb_py.kube.endpoints import ServiceEndpoints
from speaker.bgp.eligibility import eligible

ELSEWHERE = ServiceEndpoints(1, frozenset({"node2"}))
HERE = ServiceEndpoints(2, frozenset({"node1", "node2"}))
NOWHERE = ServiceEndpoints()
UNPLACED = ServiceEndpoints(1)


@pytest.mark.parametrize(
    ("endpoints", "local", "reason"),
    [
        (HERE, False, ""),
        (HERE, True, ""),
        (ELSEWHERE, False, ""),
        (ELSEWHERE, True, "noLocalEndpoints"),
        (UNPLACED, False, ""),
        (UNPLACED, True, "noLocalEndpoints"),
        (NOWHERE, False, "noEndpoints"),
        (NOWHERE, True, "noLocalEndpoints"),
    ],
)
def test_eligible(endpoints: ServiceEndpoints, local: bool, reason: str) -> None:
    assert eligible(endpoints, "node1", local=local).reason == reason
