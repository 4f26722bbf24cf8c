"""The assignment decision for one service, its outcome, and the allocation alone."""

from __future__ import annotations

from controller.allocator import Allocator, Holding
from controller.assignment import NEW, Memory, Outcome, decide
from controller.core import carry_out, outcome_of
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


def allocate(allocator: Allocator, key: str, request: ServiceRequest) -> Holding:
    """Choose addresses for a service that holds none, and assign them."""
    _, addresses = allocator.choose(request, key)
    return allocator.assign(key, addresses, request.terms)
