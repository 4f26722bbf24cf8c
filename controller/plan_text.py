"""A plan in words: for the command, and for the API server to show as warnings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from controller.plan import Fate, Plan, ServicePlan
from metallb_py.model.routes import Route

# API servers cut longer warnings, and drop what exceeds 4096 characters in all.
MAX_WARNINGS = 15
MAX_CHARACTERS = 250

_WORDS = {
    Fate.KEEPS: "as before",
    Fate.DRAINS: "on a pool that drains",
    Fate.CHANGES: "announced in another way",
    Fate.LOSES: "with other addresses or none",
    Fate.GETS: "with an address at last",
}


def describe(plan: Plan) -> Iterator[str]:
    """Yield the plan, line by line."""
    for name, fate in plan.pools.items():
        yield f'pool "{name}" {fate}'
    for problem in plan.refusal:
        yield f"refused: {problem}"
    for route in plan.routes_appearing:
        yield f"route {describe_route(route)} appears"
    for route in plan.routes_going:
        yield f"route {describe_route(route)} goes"
    for service in plan.affected:
        yield _service(service)
    counts = [f"{number} {_WORDS[fate]}" for fate in Fate if (number := plan.counts.get(fate, 0))]
    yield f"{len(plan.services)} services: {', '.join(counts) or 'none'}"


def _service(service: ServicePlan) -> str:
    had, has = (", ".join(map(str, each)) for each in (service.before, service.after))
    match service.fate:
        case Fate.LOSES:
            gets = f'gets {has} of pool "{service.pool_after}"' if has else service.detail
            return f"{service.key} loses {had}: {gets}"
        case Fate.GETS:
            return f'{service.key} gets {has} of pool "{service.pool_after}"'
        case Fate.DRAINS:
            return f'{service.key} keeps {had}, and pool "{service.pool_after}" drains'
        case Fate.CHANGES:
            return f"{service.key} keeps {had}, announced in another way"
        case Fate.KEEPS:
            return f"{service.key} keeps {had}"
    assert_never(service.fate)


def describe_route(route: Route) -> str:
    """Return a route in words."""
    words = [str(route.prefix)]
    if route.local_pref:
        words.append(f"localpref {route.local_pref}")
    if route.communities:
        words.append(
            "communities " + " ".join(f"{c >> 16}:{c & 0xFFFF}" for c in route.communities)
        )
    if route.large_communities:
        large = (":".join(map(str, numbers)) for numbers in route.large_communities)
        words.append("large communities " + " ".join(large))
    if route.med is not None:
        words.append(f"med {route.med}")
    if route.as_path_prepend:
        words.append(f"as-path-prepend {route.as_path_prepend}")
    return " ".join(words)


def warnings(plan: Plan) -> tuple[str, ...]:
    """Return what is worth a warning: nothing where no service would notice."""
    if not plan.affected and not plan.refusal:
        return ()
    lines = [line[:MAX_CHARACTERS] for line in describe(plan)]
    left = len(lines) - MAX_WARNINGS
    if left > 0:
        lines = [*lines[: MAX_WARNINGS - 1], f"and {left + 1} more: metallb-py plan tells all"]
    return tuple(lines)
