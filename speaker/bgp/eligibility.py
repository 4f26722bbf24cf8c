"""Eligibility of a node to advertise a service's addresses over BGP."""

from __future__ import annotations

from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.verdict import Checks, Verdict


def eligible(endpoints: ServiceEndpoints, node: str, *, local: bool) -> Verdict:
    """Decide whether a node advertises a service's addresses.

    Every node does while the service has a usable endpoint on any node; with
    ``externalTrafficPolicy: Local`` (``local``) only a node that has one itself.
    """
    checks = Checks()
    if not endpoints.usable:
        reason = "noLocalEndpoints" if local else "noEndpoints"
        return checks.failed("endpoints", reason, "no usable endpoint on any node")
    checks.passed("endpoints", f"{endpoints.usable} usable")
    if local and node not in endpoints.nodes:
        nodes = ", ".join(sorted(endpoints.nodes)) or "no node"
        return checks.failed("local endpoints", "noLocalEndpoints", f"its endpoints are on {nodes}")
    checks.passed("local endpoints")
    return checks.all_passed()
