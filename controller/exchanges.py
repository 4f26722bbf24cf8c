"""Services that wait for each other's addresses: A holds what B asks for, and B what A asks for.

Each of them keeps what it holds until it can have what it asks for, so one after the other would
never move; together they can.
"""

from __future__ import annotations

from collections.abc import Mapping

from controller.allocator import Allocator, Move
from controller.requests import ServiceRequest

MAX_SERVICES = 16


def find_exchange(
    key: str, movers: Mapping[str, ServiceRequest], allocator: Allocator
) -> Mapping[str, Move]:
    """Return what each service gets in an exchange that serves this one; empty where none does.

    ``movers`` hold addresses and wait for the others that they ask for, this one among them.
    """
    moves: dict[str, Move] = {}
    open_keys = [key]
    while open_keys:
        mover = open_keys.pop()
        request = movers.get(mover)
        if request is None or len(moves) == MAX_SERVICES:
            return {}  # one in the way wants to stay
        if allocator.placement_denial(request.addresses, request):
            return {}
        moves[mover] = (request.addresses, request.terms)
        in_the_way = allocator.in_the_way(mover, request.addresses, request.terms)
        open_keys += [other for other in in_the_way if other not in moves]
    return moves if len(moves) > 1 and allocator.may_move(moves) else {}
