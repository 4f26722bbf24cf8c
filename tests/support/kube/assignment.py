"""The assignment decision for one service, its outcome, the written addresses, and allocation."""

from __future__ import annotations

from collections.abc import Iterable

from controller.allocator import Allocator, Holding
from controller.assignment import NEW, Memory, Outcome, decide
from controller.core import carry_out, outcome_of
from controller.effects import Effect, WriteStatus
from controller.requests import ServiceRequest, parse
from metallb_py.kube.objects import Labels, Service


def converge(
    service: Service,
    allocator: Allocator,
    namespace_labels: Labels | None = None,
    memory: Memory = NEW,
) -> Outcome:
    """Decide about a service as the core does, and assign its addresses accordingly."""
    decision = decide(service, parse(service, namespace_labels), allocator, memory)
    carry_out(service.key, decision, allocator)
    return outcome_of(service.key, decision, allocator)


def written(effects: Iterable[Effect]) -> dict[str, list[str]]:
    """Return the addresses that the effects write to statuses, by the service's name."""
    return {
        effect.service.metadata.name: list(map(str, effect.addresses))
        for effect in effects
        if isinstance(effect, WriteStatus)
    }


def allocate(allocator: Allocator, key: str, request: ServiceRequest) -> Holding:
    """Choose addresses for a service that holds none, and assign them."""
    _, addresses = allocator.choose(request, key)
    return allocator.assign(key, addresses, request.terms)
