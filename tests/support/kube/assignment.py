"""The assignment decision for one service, and its outcome."""

from __future__ import annotations

from controller.allocator import Allocator
from controller.assignment import NEW, Memory, Outcome, decide
from controller.core import carry_out, outcome_of
from controller.requests import parse
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
