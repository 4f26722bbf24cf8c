"""Whether this node answers for a service's addresses on layer 2."""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.addresses import IPAddress
from metallb_py.kube.endpoints import ServiceEndpoints
from metallb_py.verdict import Checks, Verdict
from speaker.layer2.election import ranked

NOT_OWNER = "notOwner"


def eligible(
    endpoints: ServiceEndpoints,
    address: IPAddress,
    node: str,
    usable_speakers: Iterable[str],
    *,
    local: bool,
) -> Verdict:
    """Decide for one node. ``address`` is the service's first one: it decides for all of them.

    Candidates are the nodes with a usable speaker; with ``externalTrafficPolicy: Local``
    (``local``) only those that also have a usable endpoint.
    """
    checks = Checks()
    if not endpoints.usable:
        return checks.failed("endpoints", NOT_OWNER, "no usable endpoint on any node")
    checks.passed("endpoints", f"{endpoints.usable} usable")
    candidates = set(usable_speakers)
    if local:
        candidates &= endpoints.nodes
    if not candidates:
        where = " and a usable endpoint" if local else ""
        return checks.failed("candidates", NOT_OWNER, f"no node has a usable speaker{where}")
    checks.passed("candidates", ", ".join(sorted(candidates)))
    order = ranked(address, candidates)
    if order[0] != node:
        return checks.failed("election", NOT_OWNER, f"{order[0]} is first of {', '.join(order)}")
    checks.passed("election", f"first of {', '.join(order)}")
    return checks.all_passed()
