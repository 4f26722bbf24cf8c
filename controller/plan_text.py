"""A plan as text: lines for ``metallb-py plan``, and warnings of an admission response."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from controller.plan import Change, Plan, ServicePlan
from metallb_py.addresses import IPNetwork
from metallb_py.model.route_attributes import RouteAttributes

# API servers truncate longer warnings, and drop those beyond 4096 characters in total.
MAX_WARNINGS = 15
MAX_CHARACTERS = 250

_WORDS = {
    Change.KEEPS: "as before",
    Change.DRAINS: "on a pool that drains",
    Change.CHANGES: "announced in another way",
    Change.LOSES: "with other addresses or none",
    Change.GETS: "with a first address",
}


def describe(plan: Plan) -> Iterator[str]:
    """Yield the plan's lines: pools, refusal, routes, affected services, totals."""
    for name, change in plan.pools.items():
        yield f'pool "{name}" {change}'
    for problem in plan.refusal:
        yield f"refused: {problem}"
    for prefix, attributes in plan.routes_advertised.items():
        yield f"route {describe_route(prefix, attributes)} appears"
    for prefix, attributes in plan.routes_withdrawn.items():
        yield f"route {describe_route(prefix, attributes)} goes"
    for service in plan.affected:
        yield _service(service)
    counts = [
        f"{number} {_WORDS[change]}" for change in Change if (number := plan.counts.get(change, 0))
    ]
    yield f"{len(plan.services)} services: {', '.join(counts) or 'none'}"


def _service(service: ServicePlan) -> str:
    had, has = (", ".join(map(str, each)) for each in (service.before, service.after))
    match service.change:
        case Change.LOSES:
            gets = f'gets {has} of pool "{service.pool_after}"' if has else service.detail
            return f"{service.key} loses {had}: {gets}"
        case Change.GETS:
            return f'{service.key} gets {has} of pool "{service.pool_after}"'
        case Change.DRAINS:
            return f'{service.key} keeps {had}, and pool "{service.pool_after}" drains'
        case Change.CHANGES:
            return f"{service.key} keeps {had}, announced in another way"
        case Change.KEEPS:
            return f"{service.key} keeps {had}"
    assert_never(service.change)


def describe_route(prefix: IPNetwork, attributes: RouteAttributes) -> str:
    """Return a route's prefix and attributes as text."""
    words = [str(prefix)]
    if attributes.local_pref:
        words.append(f"localpref {attributes.local_pref}")
    if attributes.communities:
        plain = (f"{c >> 16}:{c & 0xFFFF}" for c in sorted(attributes.communities))
        words.append("communities " + " ".join(plain))
    if attributes.large_communities:
        large = (":".join(map(str, numbers)) for numbers in sorted(attributes.large_communities))
        words.append("large communities " + " ".join(large))
    if attributes.med is not None:
        words.append(f"med {attributes.med}")
    if attributes.as_path_prepend:
        words.append(f"as-path-prepend {attributes.as_path_prepend}")
    return " ".join(words)


def warnings(plan: Plan) -> tuple[str, ...]:
    """Return the plan as warnings; none if it neither affects a service nor would be refused."""
    if not plan.affected and not plan.refusal:
        return ()
    lines = [line[:MAX_CHARACTERS] for line in describe(plan)]
    left = len(lines) - MAX_WARNINGS
    if left > 0:
        lines = [*lines[: MAX_WARNINGS - 1], f"and {left + 1} more: metallb-py plan shows all"]
    return tuple(lines)
