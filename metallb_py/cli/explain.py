"""``metallb-py explain NAMESPACE/NAME``: why a Service has its addresses, or why it has none."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from controller.explain import Explanation, Stand, explain, pool_label
from controller.requests import ServiceRequest
from metallb_py.cli import cluster
from metallb_py.cli.terminal import complain, show, show_json
from metallb_py.errors import ApiError
from metallb_py.kube.annotation_names import near_misses

DESCRIPTION = """\
Say why a Service has its addresses, or why each pool refused it. It is the controller's own code
that is asked, with the cluster as it stands. Exit status: 0 the Service has its addresses, 1 it has
none, or others than it is to have, or is not this controller's, 2 there is no such Service or the
cluster can't be asked.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "explain", help="say why a Service has its addresses", description=DESCRIPTION
    )
    parser.add_argument("service", help='NAMESPACE/NAME, or the name of one in "default"')
    cluster.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain and print; return the exit status."""
    key = args.service if "/" in args.service else f"default/{args.service}"
    try:
        explanation = explain(cluster.snapshot(args), key, args.lb_class)
    except ApiError as error:
        complain(error)
        return 2
    except KeyError:
        complain(f"service {key}: not found")
        return 2
    if args.json:
        show_json(as_json(explanation))
    else:
        show(as_text(explanation))
    return 0 if explanation.stand is Stand.SERVED else 1


def as_text(explanation: Explanation) -> Iterator[str]:
    """Yield the explanation, line by line."""
    key = explanation.service.key
    shown = ", ".join(map(str, explanation.shown)) or "no addresses"
    yield f"{key}: {shown}: {explanation.stand}"
    if explanation.stand is Stand.NOT_OURS:
        spec = explanation.service.spec
        yield f'  its type is {spec.type}, its class "{spec.load_balancer_class or ""}"'
    for miss in near_misses(explanation.service.metadata.annotations or ()):
        yield f"  {miss}"
    if explanation.stand is Stand.NO_CONFIGURATION:
        yield "  the ConfigMap holds no valid configuration, and never did"
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
    if explanation.stand is Stand.IN_FLIGHT:
        yield "  its status says otherwise: the controller is about to write it, or is not running"
    if explanation.request is not None:
        yield f"  asks for {_wishes(explanation.request)}"
    yield from _pools(explanation)


def _wishes(request: ServiceRequest) -> str:
    words = [" and ".join(family.value for family in request.families)]
    if request.fewer_families_do and len(request.families) > 1:
        words.append("or one of them")
    if request.addresses:
        words.append("addresses " + ", ".join(map(str, request.addresses)))
    if request.pool:
        words.append(f'pool "{request.pool}"')
    if request.terms.key:
        words.append(f'sharing key "{request.terms.key}"')
    return "; ".join(words)


def _pools(explanation: Explanation) -> Iterator[str]:
    """Yield each pool, in the order in which they are tried."""
    own = explanation.pool.name if explanation.pool else ""
    for number, pool in enumerate(explanation.survey, 1):
        if pool.pool == own:
            detail = "its addresses are from this one"
        else:
            detail = pool.detail or "has addresses for it"
        yield f'  {number}. pool "{pool.pool}": {detail}'


def as_json(explanation: Explanation) -> Mapping[str, object]:
    """Return the explanation as it is printed with ``--json``."""
    outcome = explanation.outcome
    return {
        "service": explanation.service.key,
        "stand": explanation.stand,
        "status": [str(address) for address in explanation.shown],
        "addresses": [str(address) for address in outcome.addresses] if outcome else [],
        "pool": explanation.pool.name if explanation.pool else "",
        "reason": outcome.verdict.reason if outcome else "",
        "checks": [
            {"name": check.name, "passed": check.passed, "detail": check.detail}
            for check in (outcome.verdict.checks if outcome else ())
        ],
        "asksFor": _wishes(explanation.request) if explanation.request else "",
        "sharesWith": explanation.shares_with,
        "warnings": [
            *map(str, near_misses(explanation.service.metadata.annotations or ())),
            *explanation.configuration,
        ],
        "pools": [
            {"pool": each.pool, "available": not each.detail, "detail": each.detail}
            for each in explanation.survey
        ],
    }
