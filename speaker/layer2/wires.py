"""On which wires a node is: what each speaker tells the others of its interfaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from metallb_py.addresses import IPAddress, IPNetwork, parse_cidr
from metallb_py.config.model import Pool

ANNOTATION = "metallb.universe.tf/interfaces"
MAX_TEXT = 16_384
"""A longer annotation is not read: a node with so many subnets counts as being on all of them."""


@dataclass(frozen=True, slots=True)
class Wire:
    """An interface that answers: its name, its MAC address as text, and the subnets it is on.

    Link-local subnets are left out: every interface is on one, and they are not the same.
    """

    name: str
    mac: str
    subnets: tuple[IPNetwork, ...] = ()


class _Record(msgspec.Struct, frozen=True):
    mac: str
    subnets: list[str]


def encode(wires: Iterable[Wire]) -> str:
    """Return a node's wires as the text of an annotation."""
    records = {
        wire.name: _Record(wire.mac, [str(subnet) for subnet in wire.subnets]) for wire in wires
    }
    return msgspec.json.encode(records, order="sorted").decode()


def decode(text: str) -> tuple[Wire, ...] | None:
    """Read what ``encode`` made; None where it is something else, or nothing."""
    if not text or len(text) > MAX_TEXT:
        return None
    try:
        records = msgspec.json.decode(text, type=dict[str, _Record])
        return tuple(
            Wire(name, record.mac, tuple(map(parse_cidr, record.subnets)))
            for name, record in sorted(records.items())
        )
    except (msgspec.MsgspecError, ValueError):
        return None


def has_interface_for(wires: Iterable[Wire], pool: Pool) -> bool:
    """Whether one of the interfaces may answer for the pool's addresses."""
    return any(pool.uses_interface(wire.name) for wire in wires)


def subnets_for(wires: Iterable[Wire], pool: Pool) -> frozenset[IPNetwork]:
    """Return the subnets on which a node with these wires may answer for the pool's addresses."""
    usable = (wire for wire in wires if pool.uses_interface(wire.name))
    return frozenset(subnet for wire in usable for subnet in wire.subnets)


def reached(subnets: Iterable[IPNetwork], addresses: Iterable[IPAddress]) -> int:
    """Return how many of the addresses are on one of the subnets."""
    there = tuple(subnets)
    return sum(any(address in subnet for subnet in there) for address in addresses)
