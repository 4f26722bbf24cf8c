"""Exchanges of addresses between services that request each other's; short: one search.

A service keeps its addresses until it can have the requested ones, so none of these could move
alone; all of them can at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.allocator import Allocator, Move
from controller.requests import ServiceRequest

MAX_SERVICES = 16
"""Limit of the services in one exchange."""


def find_exchange(
    key: str, movers: Mapping[str, ServiceRequest], allocator: Allocator
) -> Mapping[str, Move]:
    """Return each service's move in an exchange that serves this one; empty if there is none.

    ``movers`` has the requests of services, this one included, that hold addresses and wait for
    other, specific ones.
    """
    moves: dict[str, Move] = {}
    open_keys = [key]
    while open_keys:
        mover = open_keys.pop()
        request = movers.get(mover)
        if request is None or len(moves) == MAX_SERVICES:
            return {}  # a conflicting service does not want to move, or there are too many
        if allocator.placement_denial(request.addresses, request):
            return {}
        moves[mover] = (request.addresses, request.terms)
        others = allocator.conflicting_services(mover, request.addresses, request.terms)
        open_keys += [other for other in others if other not in moves]
    return moves if len(moves) > 1 and allocator.may_move(moves) else {}
