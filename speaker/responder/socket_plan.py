"""Plan of the responder's sockets: which to have open, and what to announce on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from metallb_py.protocols.rtnetlink import IFF_LOWER_UP, Link
from speaker.responder.placement import Placed
from speaker.responder.protocols import ARP, NDP, AddressResolutionProtocol

SocketKey = tuple[int, AddressResolutionProtocol]
"""Interface index and protocol: there is one socket for each pair."""


@dataclass(frozen=True, slots=True)
class SocketSpec:
    """The interface of a socket, and the packed addresses that are answered for on it."""

    link: Link
    owned: frozenset[bytes]

    @property
    def new(self) -> frozenset[bytes]:
        """The addresses to announce once a new socket is open: all, if there is a carrier."""
        return self.owned if self.link.flags & IFF_LOWER_UP else frozenset()


@dataclass(frozen=True, slots=True)
class SocketPlan:
    """The changes from the open sockets to the wanted ones."""

    closed: tuple[SocketKey, ...]
    """Sockets to close first: of interfaces that no longer answer, or have another name."""
    wanted: Mapping[SocketKey, SocketSpec]
    """Every socket to have open then, in the order in which they are opened or updated."""
    announced: Mapping[SocketKey, frozenset[bytes]]
    """The addresses to announce on each socket that stays open, once it is updated."""


def plan_sockets(
    answering: Mapping[int, Link],
    placed: Placed,
    opened: Mapping[SocketKey, SocketSpec],
    *,
    known: Set[bytes],
    has_ipv6: Callable[[str], bool],
) -> SocketPlan:
    """Return the plan for the interfaces that answer, and the addresses placed on them.

    ``known`` are the addresses that were owned when the last plan was made: they are announced on
    an interface where they are new, as other interfaces answered for them before. Any other new
    address is announced by its takeover.
    """
    wanted = _wanted(answering, placed, has_ipv6)
    closed = tuple(
        key
        for key, spec in opened.items()
        if key not in wanted or wanted[key].link.name != spec.link.name
    )
    staying = opened.keys() - closed
    announced = {
        key: _announced(opened[key], spec, known) for key, spec in wanted.items() if key in staying
    }
    return SocketPlan(closed, wanted, announced)


def _wanted(
    answering: Mapping[int, Link], placed: Placed, has_ipv6: Callable[[str], bool]
) -> dict[SocketKey, SocketSpec]:
    """Return the sockets to have open.

    All IPv6 traffic of a node passes the filter of a neighbor discovery socket, so there is none
    on an interface without IPv6 addresses to answer for.
    """
    wanted: dict[SocketKey, SocketSpec] = {}
    for index, link in answering.items():
        wanted[index, ARP] = SocketSpec(link, placed[index, ARP.address_length])
        owned = placed[index, NDP.address_length]
        if owned and has_ipv6(link.name):
            wanted[index, NDP] = SocketSpec(link, owned)
    return wanted


def _announced(before: SocketSpec, now: SocketSpec, known: Set[bytes]) -> frozenset[bytes]:
    """Return the addresses to announce: all after a change of the link, else those moved here."""
    if _has_returned(before.link, now.link) or before.link.mac != now.link.mac:
        return now.owned
    return (now.owned - before.owned) & known


def _has_returned(earlier: Link, link: Link) -> bool:
    """Whether the carrier was lost and is back, also if both happened between two plans."""
    carriers = (bool(earlier.flags & IFF_LOWER_UP), earlier.carriers)
    return bool(link.flags & IFF_LOWER_UP) and carriers != (True, link.carriers)
