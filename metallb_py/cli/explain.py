"""``metallb-py explain NAMESPACE/NAME``: the allocation and the announcement of one Service."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from controller.explain import Explanation, ServiceState, explain, pool_label
from controller.requests import ServiceRequest
from metallb_py.cli import cluster, speakers
from metallb_py.cli.cluster import Forbidden
from metallb_py.cli.terminal import print_error, show, show_json
from metallb_py.errors import ApiError
from metallb_py.kube.annotation_names import near_misses
from metallb_py.kube.listing import take_snapshot
from metallb_py.printable import listed
from speaker.diagnosis import View, Where, where

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient

DESCRIPTION = """\
Explain why a Service has its addresses, or why each pool was rejected, and which nodes announce
them, or why no node does. The command runs the controller's and the speakers' own decision code on
the present state of the cluster; a speaker is usable if its pod is ready. Exit status: 0 the
Service has its addresses and a node announces them, or the latter can't be checked; 1 it has no
address, or other addresses than it should, or no node announces them, or it is not a Service of
this controller; 2 the Service does not exist or the cluster can't be read.
"""
SHOWN_NODES = 10
"""Number of announcing nodes that are listed; the others are counted."""

Reach = Where | tuple[Forbidden, ...] | None
"""The nodes that announce a service, or the unreadable kinds; None for one without an address."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "explain",
        help="explain a Service's addresses, and which nodes announce them",
        description=DESCRIPTION,
    )
    parser.add_argument("service", help='NAMESPACE/NAME, or NAME in "default"')
    speakers.add_arguments(parser)
    cluster.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain and print; return the exit status."""
    key = args.service if "/" in args.service else f"default/{args.service}"
    try:
        explanation, reach = cluster.query(args, lambda client: _explain(client, args, key))
    except ApiError as error:
        print_error(error)
        return 2
    except KeyError:
        print_error(f"service {key}: not found")
        return 2
    if args.json:
        show_json(as_json(explanation, reach))
    else:
        show(as_text(explanation, reach))
    unannounced = isinstance(reach, Where) and not reach.nodes
    return 0 if explanation.state is ServiceState.SERVED and not unannounced else 1


async def _explain(
    client: KubeClient, args: argparse.Namespace, key: str
) -> tuple[Explanation, Reach]:
    """Read the cluster and explain. Raises ApiError, or KeyError if the service does not exist."""
    snapshot = await take_snapshot(client, args.namespace, args.config)
    explanation = explain(snapshot, key, args.lb_class)
    if explanation.state is ServiceState.NOT_OURS or not explanation.service.ingress:
        return explanation, None
    view = await speakers.read_view(client, args, snapshot, key)
    return explanation, where(explanation.service, view) if isinstance(view, View) else view


def as_text(explanation: Explanation, reach: Reach = None) -> Iterator[str]:
    """Yield the lines of the explanation."""
    yield from _allocation(explanation)
    match reach:
        case None:
            return
        case Where(nodes, protocol, why):
            if not nodes:
                yield f"  announced by no node: {why}"
                return
            names = listed(nodes, SHOWN_NODES)
            yield f"  announced by {names} ({protocol}{': ' if why else ''}{why})"
        case forbidden:
            missing = "; ".join(map(str, forbidden))
            yield f"  whether a node announces it is not checked: {missing}"


def _allocation(explanation: Explanation) -> Iterator[str]:
    """Yield the lines about the allocation of its addresses."""
    key = explanation.service.key
    shown = ", ".join(map(str, explanation.shown)) or "no addresses"
    yield f"{key}: {shown}: {explanation.state}"
    if explanation.state is ServiceState.NOT_OURS:
        spec = explanation.service.spec
        yield f'  its type is {spec.type}, its class "{spec.load_balancer_class or ""}"'
    for miss in near_misses(explanation.service.metadata.annotations or ()):
        yield f"  {miss}"
    if explanation.state is ServiceState.NO_CONFIGURATION:
        yield "  there is no valid configuration, neither now nor stored from earlier"
        yield from (f"  {line}" for line in explanation.configuration)
    if explanation.outcome is None:
        return
    outcome = explanation.outcome
    if explanation.pool is not None:
        addresses = ", ".join(map(str, outcome.addresses))
        yield f"  holds {addresses} of {pool_label(explanation.pool)}"
    if explanation.shares_with:
        yield f"  shares with {', '.join(explanation.shares_with)}"
    if not outcome.verdict.positive:
        yield f"  {outcome.verdict.reason}: {outcome.verdict.detail}"
    if explanation.state is ServiceState.IN_FLIGHT:
        yield "  its status differs: the controller is about to write it, or is not running"
    if explanation.request is not None:
        yield f"  requests {_request_text(explanation.request)}"
    yield from _pools(explanation)


def _request_text(request: ServiceRequest) -> str:
    words = [" and ".join(family.label for family in request.families)]
    if request.prefers_dual_stack and len(request.families) > 1:
        words.append("or one of them")
    if request.addresses:
        words.append("addresses " + ", ".join(map(str, request.addresses)))
    if request.pool:
        words.append(f'pool "{request.pool}"')
    if request.terms.key:
        words.append(f'sharing key "{request.terms.key}"')
    return "; ".join(words)


def _pools(explanation: Explanation) -> Iterator[str]:
    """Yield a line for each pool, in the order in which the allocator tries them."""
    own = explanation.pool.name if explanation.pool else ""
    for number, pool in enumerate(explanation.survey, 1):
        if pool.pool == own:
            detail = "its addresses are from this one"
        else:
            detail = pool.detail or "has addresses for it"
        yield f'  {number}. pool "{pool.pool}": {detail}'


def _announced(reach: Reach) -> Mapping[str, object] | None:
    match reach:
        case None:
            return None
        case Where(nodes, protocol, why):
            return {"checked": True, "nodes": nodes, "protocol": protocol or "", "why": why}
        case forbidden:
            why = "; ".join(map(str, forbidden))
            return {"checked": False, "nodes": [], "protocol": "", "why": why}


def as_json(explanation: Explanation, reach: Reach = None) -> Mapping[str, object]:
    """Return the explanation as it is printed with ``--json``."""
    outcome = explanation.outcome
    return {
        "service": explanation.service.key,
        "stand": explanation.state,
        "status": [str(address) for address in explanation.shown],
        "addresses": [str(address) for address in outcome.addresses] if outcome else [],
        "pool": explanation.pool.name if explanation.pool else "",
        "reason": outcome.verdict.reason if outcome else "",
        "checks": [
            {"name": check.name, "passed": check.passed, "detail": check.detail}
            for check in (outcome.verdict.checks if outcome else ())
        ],
        "asksFor": _request_text(explanation.request) if explanation.request else "",
        "sharesWith": explanation.shares_with,
        "announced": _announced(reach),
        "warnings": [
            *map(str, near_misses(explanation.service.metadata.annotations or ())),
            *explanation.configuration,
        ],
        "pools": [
            {"pool": each.pool, "available": not each.detail, "detail": each.detail}
            for each in explanation.survey
        ],
    }
